// Devices.

export const page = {
  id: 'devices',
  title: 'Devices',
  twin: () => 'nexus status',
  mount(root, ctx) {
    root.append(ctx.h('p', { class: 'quiet' }, 'Nothing here yet.'));
    return () => {};
  },
};
