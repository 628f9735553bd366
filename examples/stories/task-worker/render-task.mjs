// SPDX-License-Identifier: Apache-2.0
export { render as default } from './render.mjs';
