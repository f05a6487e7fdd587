// The style of the pages beside Namespace: one sheet, asked for once.

const address = new URL('../pages/pages.css', import.meta.url).href;
if (!document.querySelector(`link[href="${address}"]`)) {
  const link = document.createElement('link');
  link.rel = 'stylesheet';
  link.href = address;
  document.head.append(link);
}
