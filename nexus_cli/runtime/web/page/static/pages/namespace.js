// Namespace.

export const page = {
  id: 'namespace',
  title: 'Namespace',
  twin: () => 'nexus status',
  mount(root, ctx) {
    root.append(ctx.h('p', { class: 'quiet' }, 'Nothing here yet.'));
    return () => {};
  },
};
