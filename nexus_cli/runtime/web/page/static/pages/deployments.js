// Deployments.

export const page = {
  id: 'deployments',
  title: 'Deployments',
  twin: () => 'nexus status',
  mount(root, ctx) {
    root.append(ctx.h('p', { class: 'quiet' }, 'Nothing here yet.'));
    return () => {};
  },
};
