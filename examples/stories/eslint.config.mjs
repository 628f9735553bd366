// SPDX-License-Identifier: Apache-2.0
// What a linter can say of the stories' code. It knows names, and not how long anything takes.
import n from 'eslint-plugin-n';

export default [
  {
    files: ['**/*.mjs'],
    ignores: ['support/**', '*/story.mjs'],
    plugins: { n },
    rules: {
      'n/no-sync': 'error',
      'no-restricted-properties': [
        'error',
        { object: 'Atomics', property: 'wait', message: 'Waits with the whole loop.' },
      ],
    },
  },
];
