// SPDX-License-Identifier: Apache-2.0
// What a build does ahead of a deployment: the workflows as one file, where the argument says. It blocks for seconds.
import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { bundleWorkflowCode } from '@temporalio/worker';

const [file] = process.argv.slice(2);
const workflowsPath = fileURLToPath(new URL('./workflows.ts', import.meta.url));
const { code } = await bundleWorkflowCode({ workflowsPath });
writeFileSync(file, code);
