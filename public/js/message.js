// SPDX-License-Identifier: Apache-2.0
// What went wrong, in words for a person.
import { ApiError } from "./api.js";

/** @param {unknown} error */
export function messageOf(error) {
  return error instanceof ApiError ? error.message : `Something went wrong in this page: ${error instanceof Error ? error.message : String(error)}`;
}
