// Devices as the overview sorts, filters and shows them.

/** States by how soon one should look; the first ones are on top. */
export const STATES = ['gateway', 'link', 'silent', 'unread', 'out of service', 'answers', 'external', 'disabled'];
export const LOOK = { gateway: 'bad', link: 'bad', silent: 'bad', unread: 'warn', 'out of service': 'warn' };
const WORDS = { gateway: 'no gateway', link: 'no link', unread: 'not read yet' };
const WELL = ['answers', 'external', 'disabled'];

/** The state of a device; `words` says it for people. */
export const stateOf = (device) => (device.out_of_service ? 'out of service' : device.state);
export const words = (state) => WORDS[state] ?? state;

export const isWell = (device) => WELL.includes(stateOf(device));

/** Devices with the pauses of those that are out of service. */
export function withPauses(devices, pauses) {
  const out = new Map(pauses.map((each) => [each.device, each]));
  return devices.map((each) => ({ ...each, out_of_service: out.get(each.path) ?? null }));
}
/** Kinds of errors that happened, the most frequent first: `[kind, count]`. */
export const errorKinds = (device) => Object.entries(device.errors_by_kind ?? {}).filter(([, each]) => each).sort(([, one], [, other]) => other - one);

/** Columns, and what each is sorted by. */
export const SORTS = {
  state: (device) => STATES.indexOf(stateOf(device)),
  device: (device) => device.path,
  protocol: (device) => device.protocol,
  gateway: (device) => device.gateway,
  'last answer': (device) => device.last_answer ?? 0,
  polls: (device) => -(device.polls ?? 0),
  missed: (device) => -(device.missed ?? 0),
  errors: (device) => -(device.errors ?? 0),
  'read time': (device) => -(device.read_ms ?? -1),
};

/** Devices that match what was typed, sorted; equal ones by path. */
export function chosen(devices, { search, only, sort, reverse }) {
  const words = search.toLowerCase().split(/\s+/).filter(Boolean);
  const key = SORTS[sort] ?? SORTS.device;
  const found = devices.filter((each) => (only === 'all' || fits(each, only)) && words.every((word) => haystack(each).includes(word)));
  const compare = (one, other) => {
    const [first, second] = [key(one), key(other)];
    return (first < second ? -1 : first > second ? 1 : 0) * (reverse ? -1 : 1) || (one.path < other.path ? -1 : 1);
  };
  return found.sort(compare);
}

function fits(device, only) {
  return only === 'problems' ? !isWell(device) : stateOf(device) === only;
}

function haystack(device) {
  return [device.path, device.protocol, device.gateway, device.link, words(stateOf(device)), device.detail, device.reason, device.description,
    ...Object.keys(device.errors_by_kind ?? {})].filter(Boolean).join(' ').toLowerCase();
}

/** Why a device is not well, in one sentence; "" when it is. */
export function whyOf(device) {
  if (device.out_of_service) return device.out_of_service.reason ?? '';
  return [device.detail, device.link_state !== 'connected' && device.link_detail !== device.detail ? device.link_detail : ''].filter(Boolean).join('; ');
}
