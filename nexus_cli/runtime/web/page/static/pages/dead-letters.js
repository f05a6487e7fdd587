// Dead letters.

export const page = {
  id: 'dead-letters',
  title: 'Dead letters',
  twin: () => 'nexus status',
  mount(root, ctx) {
    root.append(ctx.h('p', { class: 'quiet' }, 'Nothing here yet.'));
    return () => {};
  },
};
