// Alarms in the words of ISA-18.2: states, priorities, their order, and which of them a filter shows.

export const PRIORITIES = ['critical', 'high', 'medium', 'low'];
const SIGNS = { critical: '■', high: '▲', medium: '◆', low: '●' };
const LOOKS = { critical: 'bad', high: 'warn', warning: 'warn' };
const STATES = {
  active: 'unacknowledged',
  returned: 'returned, unacknowledged',
  acknowledged: 'acknowledged',
  'out-of-service': 'out of service',
  shelved: 'shelved',
  suppressed: 'suppressed',
  cleared: 'normal',
};
const ORDER = Object.keys(STATES);
const OPEN = ['active', 'returned', 'acknowledged'];

/** Choices of the state filter: `[value, title]`. */
export const FILTERS = [['open', 'all that are open'], ['unanswered', 'all that wait for an answer'], ...Object.entries(STATES), ['all', 'every state']];

/** The state that is shown: a hold hides what is below it. */
export function stateOf(alert) {
  if (alert.out_of_service) return 'out-of-service';
  if (alert.shelved_until) return 'shelved';
  if (alert.suppressed_by) return 'suppressed';
  return alert.state;
}

/** A state in words; one without a priority is an alert: it need not be answered. */
export function stateWords(alert) {
  const state = stateOf(alert);
  return state === 'active' && !alert.priority ? 'active' : STATES[state];
}

/** `bad`, `warn` or ``: how a state looks, beside its words. */
export function stateLook(alert) {
  const state = stateOf(alert);
  if (state === 'active') return LOOKS[alert.priority || alert.severity] ?? 'strong';
  return state === 'returned' ? 'strong' : '';
}

/** Sign and word of a priority; without one its severity. */
export const priorityWords = ({ priority, severity }) => (priority ? `${SIGNS[priority]} ${priority}` : `– ${severity}`);
export const signOf = (priority) => SIGNS[priority];
export const lookOf = (priority) => LOOKS[priority] ?? '';

/** Whether it is an alarm that waits for a person. */
export const isUnanswered = (alert) => Boolean(alert.priority) && ['active', 'returned'].includes(stateOf(alert));

/** What a person may do to it now. */
export const canAcknowledge = (alert) => ['active', 'returned'].includes(alert.state);
export const canShelve = (alert) => !alert.out_of_service;
export const canTakeOut = (alert) => !alert.out_of_service;

/** The area of its tag; `` of an expression that belongs nowhere. */
export const areaOf = (alert) => (alert.tag || '').split('/')[0];

function inState(alert, wanted) {
  if (wanted === 'all') return true;
  const state = stateOf(alert);
  if (wanted === 'open') return OPEN.includes(state);
  if (wanted === 'unanswered') return state === 'active' || state === 'returned';
  return state === wanted;
}

/** Those that `{state, priority, group, area, search}` shows; an empty text is any. `priority` `none` is an alert without one. */
export function chosen(alerts, { state, priority, group, area, search }) {
  const words = search.toLowerCase().split(/\s+/).filter(Boolean);
  const shown = alerts.filter((each) => inState(each, state) &&
    (!priority || (priority === 'none' ? !each.priority : each.priority === priority)) &&
    (!group || each.group === group) && (!area || areaOf(each) === area) && hasAll(each, words));
  return shown.sort(order);
}

function hasAll({ name, tag, description, group }, words) {
  if (!words.length) return true;
  const text = `${name} ${tag} ${description} ${group}`.toLowerCase();
  return words.every((each) => text.includes(each));
}

const rank = (alert) => {
  const at = PRIORITIES.indexOf(alert.priority);
  return at < 0 ? PRIORITIES.length + ['critical', 'warning', 'info'].indexOf(alert.severity) : at;
};

/** What waits for an answer first, then by priority, then the newest. */
function order(one, other) {
  return ORDER.indexOf(stateOf(one)) - ORDER.indexOf(stateOf(other)) || rank(one) - rank(other) || other.since - one.since ||
    (one.name < other.name ? -1 : 1);
}

const KINDS = {
  active: 'became active', acknowledged: 'acknowledged', returned: 'returned to normal', cleared: 'normal', shelved: 'shelved', unshelved: 'unshelved',
  'out-of-service': 'taken out of service', 'in-service': 'in service again', suppressed: 'suppressed', unsuppressed: 'suppressed no more',
  'flood-begins': 'a flood begins', 'flood-ends': 'the flood is over',
};
export const JOURNAL_KINDS = Object.entries(KINDS);

/** What a line of the journal says. */
export const kindWords = (kind) => KINDS[kind] ?? kind;
