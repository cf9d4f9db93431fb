// SPDX-License-Identifier: Apache-2.0
// In place of sharing.js in a saved file: who does not have it finds the site where it was saved from.
import { addressOf } from "../store.js";
import { saved } from "./source.js";

/** @param {Partial<import("../lib/urlstate.js").ViewState>} change */
export const sharedAddressOf = (change) => saved.site + new URL(addressOf(change)).hash;
