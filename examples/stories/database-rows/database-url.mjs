// SPDX-License-Identifier: Apache-2.0
// Without an address pg would quietly go to localhost:5432, where somebody else's database may be.
export const DATABASE_URL = process.env.DATABASE_URL;
if (!DATABASE_URL) throw new Error('DATABASE_URL is not set: postgres://user:password@host:port/database');
