// What somebody turned on in this browser: two switches, on or off. Nothing else is kept by the page.

const KEYS = { sound: 'nexus-alarm-sound', notification: 'nexus-alarm-notification' };

/** Whether `sound` or `notification` is on; off until somebody turns it on. */
export function isOn(name) {
  try {
    return localStorage.getItem(KEYS[name]) === 'on';
  } catch {
    return false;
  }
}

/** Keeps a switch; false where the browser keeps nothing. */
export function keep(name, on) {
  try {
    localStorage.setItem(KEYS[name], on ? 'on' : 'off');
    return true;
  } catch {
    return false;
  }
}
