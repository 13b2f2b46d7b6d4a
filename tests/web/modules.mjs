// The pinned npm packages of tests/end_to_end, from wherever they are installed: TEST_NPM_ROOT names the folder whose
// node_modules holds them, by default tests/end_to_end.
import { createRequire } from 'node:module';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

export const here = path.dirname(fileURLToPath(import.meta.url));
const root = process.env.TEST_NPM_ROOT ?? path.join(here, '..', 'end_to_end');
const require = createRequire(path.join(root, 'package.json'));

export const { WebSocketServer } = require('ws');
export const { chromium } = require('playwright-core');
