// Unanswered alarms in the head of the page; sound and notifications for who turned them on, on this machine.

import { PRIORITIES, lookOf, signOf } from './alarm_facts.js';
import { fill, h, setText } from './elements.js';
import { count, plain } from './format.js';

const KEYS = { sound: 'nexus-alarm-sound', notification: 'nexus-alarm-notification' };
const QUIET_MS = 2000; // a flood is one sound every two seconds
const TONES = { critical: [880, 660, 880], high: [880, 660], medium: [660], low: [520] };

let audio = null;

/** A choice of this machine: `sound` or `notification`; off until somebody turns it on. */
export function isOn(name) {
  try {
    return localStorage.getItem(KEYS[name]) === 'on';
  } catch {
    return false;
  }
}

/** Turns one on or off; a promise of whether it is on now. Called from a click: a browser gives sound and notifications to nothing else. */
export async function turn(name, on) {
  let wanted = on;
  if (on && name === 'sound') wanted = openAudio();
  if (on && name === 'notification') wanted = 'Notification' in globalThis && (await Notification.requestPermission()) === 'granted';
  try {
    localStorage.setItem(KEYS[name], wanted ? 'on' : 'off');
  } catch {
    return false;
  }
  return wanted;
}

function openAudio() {
  if (!globalThis.AudioContext) return false;
  audio ??= new AudioContext();
  audio.resume?.();
  return true;
}

function sound(priority) {
  if (!openAudio()) return;
  for (const [place, hertz] of TONES[priority].entries()) {
    const from = audio.currentTime + place * 0.18;
    const tone = audio.createOscillator();
    const volume = audio.createGain();
    tone.frequency.value = hertz;
    volume.gain.value = 0.1;
    tone.connect(volume).connect(audio.destination);
    tone.start(from);
    tone.stop(from + 0.14);
  }
}

/** Says new alarms aloud, as far as it is turned on. */
export class Ringer {
  constructor(site) {
    Object.assign(this, { site, waiting: [], timer: null });
  }

  ring(alerts) {
    this.waiting.push(...alerts);
    if (this.timer !== null) return;
    this.say();
    this.timer = setTimeout(() => {
      this.timer = null;
      if (this.waiting.length) this.ring([]);
    }, QUIET_MS);
  }

  say() {
    const alerts = this.waiting.splice(0).sort((one, other) => PRIORITIES.indexOf(one.priority) - PRIORITIES.indexOf(other.priority));
    if (!alerts.length) return;
    const [first] = alerts;
    if (isOn('sound')) sound(first.priority);
    if (!isOn('notification') || !('Notification' in globalThis) || Notification.permission !== 'granted') return;
    const title = alerts.length > 1 ? `${count(alerts.length)} new alarms` : `Alarm: ${plain(first.name)}`;
    new Notification(title, { body: plain(`${this.site}: ${first.priority}, ${first.name} ${first.description}`), tag: 'nexus-alarm' });
  }

  stop() {
    clearTimeout(this.timer);
  }
}

/** The counts in the head: hidden until they are known. Returns `{element, show(board)}`. */
export function makeBell() {
  const parts = new Map(PRIORITIES.map((each) => [each, h('span', { class: `bell-part ${lookOf(each)}`, dataset: { priority: each } })]));
  const words = h('span', { class: 'unseen', role: 'status' });
  const element = h('a', { class: 'bell', href: '#/alarms?state=unanswered', hidden: true }, [...parts.values()].map((each) => h('span', { 'aria-hidden': 'true' }, each)), words);
  return {
    element,
    show(board) {
      element.hidden = !board.ready;
      const counts = board.unanswered();
      const some = counts.filter(([, many]) => many);
      for (const [priority, many] of counts) {
        setText(parts.get(priority), `${signOf(priority)} ${count(many)}`);
        parts.get(priority).classList.toggle('none', !many);
      }
      const said = some.length ? `Unacknowledged alarms: ${some.map(([priority, many]) => `${count(many)} ${priority}`).join(', ')}` : 'No unacknowledged alarms';
      setText(words, said);
      element.title = said;
      element.classList.toggle('calm', !some.length);
      element.classList.toggle('old', Boolean(board.error));
    },
  };
}

/** Two switches; `notify(text, kind)` says why one stays off. */
export function switches(notify) {
  const one = (name, label, refused) => {
    const box = h('input', { type: 'checkbox', checked: isOn(name), onchange: async () => {
      box.checked = await turn(name, box.checked).then((on) => {
        if (!on && box.checked) notify(refused, 'bad');
        return on;
      });
    } });
    return h('label', { class: 'switch' }, box, ` ${label}`);
  };
  return fill(h('span', { class: 'switches', title: 'On this machine, while the page is open' }),
    one('sound', 'Sound', 'This browser gives no sound.'),
    one('notification', 'Notifications', 'This browser shows no notifications of this page: it needs HTTPS and your consent.'));
}
