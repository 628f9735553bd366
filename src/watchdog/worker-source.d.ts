// SPDX-License-Identifier: Apache-2.0
/** What is in `worker/`, as one script without imports: the build puts it here, so that it survives bundlers. */
export declare const WORKER_SOURCE: string;
