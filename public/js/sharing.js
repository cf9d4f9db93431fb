// SPDX-License-Identifier: Apache-2.0
// Where somebody else sees a site.  In a saved file offline/sharing.js stands here.
import { addressOf } from "./store.js";

/** The address at which somebody else sees a state. @param {Partial<import("./lib/urlstate.js").ViewState>} change */
export const sharedAddressOf = (change) => addressOf(change);
