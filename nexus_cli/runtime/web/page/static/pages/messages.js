// Message centre: topics by filter and view, and the site's declared messages.

import { fill, h } from '../lib/elements.js';
import { plain } from '../lib/format.js';
import { MessageWatch } from '../lib/message_watch.js';
import { Notice } from '../lib/notices.js';
import { PublishPanel } from '../lib/publish_panel.js';

const RETRY_MS = 3000;

/** Asks until it is answered; a refusal for want of a right is final. */
function insist(ask, { shown, failed }) {
  let timer = 0;
  let ended = false;
  const once = async () => {
    try {
      const found = await ask();
      if (ended) return;
      failed(null);
      shown(found);
    } catch (error) {
      if (ended) return;
      failed(error);
      if (error.status !== 403 && error.status !== 404) timer = setTimeout(once, RETRY_MS);
    }
  };
  once();
  return () => {
    ended = true;
    clearTimeout(timer);
  };
}

class MessageCentre {
  constructor(root, ctx) {
    Object.assign(this, { root, ctx });
    this.notice = new Notice();
    this.ends = [];
    this.tabs = h('div', { class: 'tabs', role: 'tablist', 'aria-label': 'Message centre' });
    this.body = h('div', { class: 'fill' });
    fill(root, h('div', { class: 'page fill' }, this.tabs, this.notice.element, this.body));
    this.open();
    ctx.onMoved = () => this.open();
  }

  close() {
    for (const end of this.ends) end();
    this.watch?.close();
  }

  open() {
    const publishing = this.ctx.rest.split('/')[0] === 'publish';
    const tab = (title, hash, chosen) => h('button', {
      type: 'button', role: 'tab', 'aria-selected': String(chosen), onclick: () => this.ctx.go(hash),
    }, title);
    fill(this.tabs, tab('Watch', 'messages', !publishing), tab('Publish', 'messages/publish', publishing));
    this.body.setAttribute('role', 'tabpanel');
    if (publishing) this.publish(this.ctx.rest.split('/').slice(1).join('/'));
    else this.watching();
  }

  twin(line) {
    this.ctx.twinLine = line;
    this.ctx.twinChanged();
  }

  watching() {
    if (!this.watch) {
      this.watch = new MessageWatch(this.ctx, { onTwin: (line) => this.twin(line) });
      this.ends.push(insist(() => this.ctx.api('/views'), {
        shown: ({ views }) => this.watch.offer(views),
        failed: (error) => {
          this.notice.show(error, 'The views can’t be read:');
          if (error?.status === 404) this.watch.offer([]);
        },
      }));
    }
    fill(this.body, this.watch.element);
    this.watch.begin();
  }

  publish(name) {
    this.twin('nexus publish --help');
    if (!this.declared) {
      fill(this.body, h('p', { class: 'quiet' }, 'Asking for the declared messages …'));
      this.ends.push(insist(() => this.ctx.api('/messages'), {
        shown: ({ messages }) => {
          this.declared = messages;
          if (this.ctx.rest.startsWith('publish')) this.publish(this.ctx.rest.split('/').slice(1).join('/'));
        },
        failed: (error) => this.notice.show(error, 'The declared messages can’t be read:'),
      }));
      return;
    }
    const chosen = this.declared.find((each) => each.name === name) ?? (name ? null : this.declared[0]);
    const entry = (each) => h('li', {}, h('a', {
      href: `#/messages/publish/${this.ctx.pathOf(each.name)}`, 'aria-current': each === chosen ? 'true' : null,
    }, plain(each.name)), each.description ? h('div', { class: 'quiet' }, plain(each.description)) : null);
    const side = this.declared.length
      ? h('ul', { class: 'choose' }, this.declared.map(entry))
      : h('p', { class: 'quiet' }, 'The site declares no messages that you may see (', h('code', {}, 'messages:'), ').');
    const panel = chosen ? new PublishPanel(this.ctx, chosen, { onTwin: (line) => this.twin(line) }).element
      : name ? h('p', { class: 'note' }, `There is no message '${plain(name)}' that you may see.`) : null;
    fill(this.body, h('div', { class: 'sides' }, h('aside', { 'aria-label': 'Declared messages' }, side), panel));
  }
}

export const page = {
  id: 'messages',
  title: 'Messages',
  twin: (ctx) => ctx.twinLine ?? 'nexus tail',
  mount(root, ctx) {
    const centre = new MessageCentre(root, ctx);
    return () => centre.close();
  },
};
