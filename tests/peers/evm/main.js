// Asks an endpoint of Sigwarden with viem, ethers and plain fetch, and lets the two libraries verify what comes back.
//
//   node main.js URL [--to ADDRESS] [--denied ADDRESS] [--only viem|ethers|web3signer]
//
// --to      a recipient that the policies allow (default 0x3535…35)
// --denied  a recipient that a policy denies; without it, refusals by policies are not asked for, and a line says so
//
// One JSON object a line on stdout, one for each check and a summary at the end. Exit code 0 if every check passed, 1 if one did not, 2 for
// a wrong command line.

import { parseArgs } from 'node:util';
import { ethersChecks } from './ethers.js';
import { Report } from './report.js';
import { viemChecks } from './viem.js';
import { web3signerChecks } from './web3signer.js';

const clients = { viem: viemChecks, ethers: ethersChecks, web3signer: web3signerChecks };

function commandLine() {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { to: { type: 'string', default: `0x${'35'.repeat(20)}` }, denied: { type: 'string' }, only: { type: 'string' } },
  });
  if (positionals.length !== 1) throw new Error('one URL is wanted: node main.js http://127.0.0.1:8545');
  if (values.only !== undefined && !(values.only in clients)) throw new Error(`--only takes ${Object.keys(clients).join(', ')}`);
  return { url: positionals[0].replace(/\/$/, ''), ...values };
}

let options;
try {
  options = commandLine();
} catch (error) {
  console.error(error.message);
  process.exit(2);
}

const report = new Report();
for (const [name, checks] of Object.entries(clients)) {
  if (options.only === undefined || options.only === name) {
    await report.run(name, 'all of it', () => checks(options, report.of(name)));
  }
}
report.summary();
process.exitCode = report.failed === 0 ? 0 : 1;
