// Sequences.

export const page = {
  id: 'sequences',
  title: 'Sequences',
  twin: () => 'nexus status',
  mount(root, ctx) {
    root.append(ctx.h('p', { class: 'quiet' }, 'Nothing here yet.'));
    return () => {};
  },
};
