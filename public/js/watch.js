// SPDX-License-Identifier: Apache-2.0
// From a task's id to its end, on whatever page that is shown.
import { ApiError, messageOf } from "./api.js";
import { follow } from "./follow.js";
import { cancel, cancelKey } from "./scrapes.js";
import { endingView, missingView } from "./views/ending.js";
import { progressView } from "./views/progress.js";

/**
 * Show the task's progress until its end; a finished one is left to `onFinished`, any other end is shown.
 * @param {HTMLElement} parent
 * @param {string} uuid
 * @param {() => void} onFinished
 */
export async function watch(parent, uuid, onFinished) {
  /** @type {{view: ReturnType<typeof progressView>|null}} */
  const now = { view: null };
  const onCancel = async () => {
    try {
      await cancel(uuid);
    } catch (error) {
      now.view?.trouble(messageOf(error));
    }
  };
  const shown = () => {
    now.view ??= progressView(parent, { onCancel: cancelKey(uuid) === null ? null : onCancel });
    return now.view;
  };
  try {
    const end = await follow(
      uuid,
      (s) => {
        if (s.status === "queued" || s.status === "pending") shown().show(s);
      },
      (message) => {
        if (now.view) now.view.trouble(message);
        // Nothing is known of the task yet, not even whether it is at work.
        else if (message) missingView(parent, "The site cannot be shown yet", `${message} This page asks again by itself.`);
      },
    );
    if (end.status === "finished") onFinished();
    else endingView(parent, end);
  } catch (error) {
    if (error instanceof ApiError && error.status === 404) {
      missingView(parent, "No such site", "This server knows no scrape with that address. The link may be incomplete, or from another server.");
    } else {
      missingView(parent, "The site cannot be shown", messageOf(error));
    }
  } finally {
    now.view?.stop();
  }
}
