/** An element that the page is known to have. */
export function byId<T extends HTMLElement = HTMLElement>(id: string): T {
  const element = document.getElementById(id);
  if (!element) throw new Error(`The page has no #${id}.`);
  return element as T;
}

export function within<T extends Element = HTMLElement>(root: ParentNode, selector: string): T {
  const element = root.querySelector<T>(selector);
  if (!element) throw new Error(`The page has no ${selector}.`);
  return element;
}

export function fromTemplate(id: string): HTMLElement {
  const template = byId(id) as unknown as HTMLTemplateElement;
  return (template.content.cloneNode(true) as DocumentFragment).firstElementChild as HTMLElement;
}

export function setText(element: Element, text: string): void {
  if (element.textContent !== text) element.textContent = text;
}

/** Polite words for screen readers. */
export function announce(text: string): void {
  setText(byId('announcer'), text);
}

const KEYS: Array<[string, string]> = [
  ['1', ''], ['2', 'ABC'], ['3', 'DEF'],
  ['4', 'GHI'], ['5', 'JKL'], ['6', 'MNO'],
  ['7', 'PQRS'], ['8', 'TUV'], ['9', 'WXYZ'],
  ['*', ''], ['0', '+'], ['#', ''],
];
const KEY_NAMES: Record<string, string> = { '*': 'star', '#': 'hash' };
const LONG_PRESS_MS = 600;

/** Fills a pad with its twelve keys. Holding `0` is `+` where that makes sense. */
export function fillPad(pad: HTMLElement, plus: boolean, press: (key: string) => void): void {
  const kind = pad.dataset['pad'] ?? 'pad';
  for (const [key, letters] of KEYS) {
    const button = document.createElement('button');
    button.type = 'button';
    button.className = 'key';
    button.dataset['key'] = key;
    const name = KEY_NAMES[key];
    button.dataset['testid'] = `${kind}-${name ?? key}`;
    if (name) button.setAttribute('aria-label', name);
    const digit = document.createElement('span');
    digit.textContent = key;
    const small = document.createElement('small');
    small.setAttribute('aria-hidden', 'true');
    small.textContent = key === '0' && !plus ? '' : letters;
    button.append(digit, small);
    let timer = 0;
    let long = false;
    if (key === '0' && plus) {
      button.addEventListener('pointerdown', () => {
        long = false;
        timer = window.setTimeout(() => {
          long = true;
          press('+');
        }, LONG_PRESS_MS);
      });
      for (const end of ['pointerup', 'pointerleave', 'pointercancel']) {
        button.addEventListener(end, () => window.clearTimeout(timer));
      }
    }
    button.addEventListener('click', () => {
      if (!long) press(key);
      long = false;
    });
    pad.append(button);
  }
}
