// SPDX-License-Identifier: Apache-2.0
// Copyright the airflow-provider-ingestjobs authors
/** A modal dialog: the browser's own, which keeps the focus, ends by Escape and gives the focus back. */

import { h } from "./elements.js";

const { useEffect, useRef } = globalThis.React;

/**
 * @param {object} props
 * @param {string} props.labelledBy the id of its heading
 * @param {() => void} props.onClose by Escape, or by a click outside
 * @param {boolean} [props.isHeld] whether it stays for now, whatever the user does
 * @param {string} [props.className]
 * @param {any} props.children what has `data-first` gets the focus, else the first that can
 */
export function Dialog({ labelledBy, onClose, isHeld = false, className = "ij-dialog", children }) {
  const box = useRef(null);
  useEffect(() => {
    const dialog = box.current;
    const before = document.activeElement;
    if (!dialog.open) dialog.showModal();
    dialog.querySelector("[data-first]")?.focus();
    return () => {
      if (before?.isConnected) before.focus?.({ preventScroll: true });
    };
  }, []);
  const leave = () => isHeld || onClose();
  const onCancel = (event) => {
    event.preventDefault();
    leave();
  };
  // A second Escape closes it without asking.
  const onClosed = () => (isHeld ? box.current.showModal() : onClose());
  const onPointerDown = (event) => event.target === box.current && leave();
  return h(
    "dialog",
    { ref: box, className, "aria-labelledby": labelledBy, onCancel, onClose: onClosed, onPointerDown },
    h("div", { className: "ij-dialog-inside" }, children),
  );
}
