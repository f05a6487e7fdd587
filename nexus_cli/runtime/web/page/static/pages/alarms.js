// Alarms.

export const page = {
  id: 'alarms',
  title: 'Alarms',
  twin: () => 'nexus status',
  mount(root, ctx) {
    root.append(ctx.h('p', { class: 'quiet' }, 'Nothing here yet.'));
    return () => {};
  },
};
