// Light, dark, or as the system says; kept in the browser.

import { element, setText } from './text.js';

const NEXT = { auto: 'light', light: 'dark', dark: 'auto' };
const NAME = 'everstate-theme';

export function startTheme(button) {
  let theme = 'auto';
  try {
    theme = localStorage.getItem(NAME) ?? 'auto';
  } catch {
    // A browser without storage begins with the system's theme each time.
  }
  const name = element('span', { className: 'word' });
  button.append(name);
  const show = () => {
    document.documentElement.dataset.theme = theme;
    setText(name, ` ${theme}`);
    button.ariaLabel = `Colours: ${theme}`;
  };
  button.addEventListener('click', () => {
    theme = NEXT[theme] ?? 'auto';
    try {
      localStorage.setItem(NAME, theme);
    } catch {
      // As above.
    }
    show();
  });
  if (!Object.hasOwn(NEXT, theme)) theme = 'auto';
  show();
}
