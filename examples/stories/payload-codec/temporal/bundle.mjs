// SPDX-License-Identifier: Apache-2.0
// What a build does ahead of a deployment: the workflows as one file, where the argument says. It blocks for seconds.
import { writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { bundleWorkflowCode } from '@temporalio/worker';

const [file] = process.argv.slice(2);
const workflowsPath = fileURLToPath(new URL('./workflows.ts', import.meta.url));
const { code } = await bundleWorkflowCode({ workflowsPath });
await writeFile(file, code);
