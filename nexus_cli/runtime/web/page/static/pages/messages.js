// Messages.

export const page = {
  id: 'messages',
  title: 'Messages',
  twin: () => 'nexus status',
  mount(root, ctx) {
    root.append(ctx.h('p', { class: 'quiet' }, 'Nothing here yet.'));
    return () => {};
  },
};
