// ethers asks, parses, recovers.
//
// How ethers shows a refusal: it throws `UNKNOWN_ERROR`, "could not coalesce error", whose `error` is the JSON-RPC error as it was sent, with `code`,
// `message` and `data`. A method that there is not is `UNSUPPORTED_OPERATION`, with the same below `info.error`.
//
// ethers 6.17 leaves `maxFeePerBlobGas` out of what it asks `eth_signTransaction` with (provider-jsonrpc.ts, getRpcTransaction), so its own signer
// cannot ask for a blob transaction; here `provider.send` does.

import assert from 'node:assert/strict';
import {
  FetchRequest, getBytes, JsonRpcProvider, toQuantity, Transaction, verifyAuthorization, verifyMessage, verifyTypedData, Wallet,
} from 'ethers';
import { authorityKeys, byteMessages, delegate, messages, transactions, typedData, typeNumber } from './cases.js';

export async function ethersChecks({ url, to, denied }, { check, skip }) {
  const request = new FetchRequest(url);
  request.timeout = 30_000;
  const network = await new JsonRpcProvider(request, undefined, { batchMaxCount: 1 })._detectNetwork();
  const chainId = network.chainId;
  const provider = new JsonRpcProvider(request, network, { staticNetwork: network });
  try {
    const signers = await provider.listAccounts();
    assert.ok(signers.length > 0);
    for (const signer of signers) await signed(provider, signer, to, chainId, check);
    await check('twenty calls at once are one batch', async () => {
      const messages = Array.from({ length: 20 }, (_, at) => `message ${at}`);
      const signatures = await Promise.all(messages.map((message) => signers[0].signMessage(message)));
      for (const [at, signature] of signatures.entries()) assert.equal(verifyMessage(messages[at], signature), signers[0].address);
    });
    await refusals(provider, signers[0], { to, denied, chainId }, { check, skip });
  } finally {
    provider.destroy();
  }
}

async function signed(provider, signer, to, chainId, check) {
  const account = signer.address;
  for (const [name, type, fields] of transactions(to)) {
    await check(`${name} by ${account}`, async () => {
      const { gas, authorizations, ...rest } = fields;
      const asked = { ...rest, type: typeNumber[type], gasLimit: gas, chainId };
      if (authorizations !== undefined) asked.authorizationList = await authorizationList(authorizations, chainId);
      const raw = type === 'eip4844'
        ? await provider.send('eth_signTransaction', [{ ...provider.getRpcTransaction({ ...asked, from: account }), maxFeePerBlobGas: toQuantity(asked.maxFeePerBlobGas) }])
        : await signer.signTransaction(asked);
      sameTransaction(Transaction.from(raw), asked);
      assert.equal(Transaction.from(raw).from, account);
    });
  }
  for (const [name, text] of messages) {
    await check(`personal_sign of ${name} by ${account}`, async () => {
      assert.equal(verifyMessage(text, await signer.signMessage(text)), account);
    });
  }
  for (const [name, hex] of byteMessages) {
    await check(`personal_sign of ${name} by ${account}`, async () => {
      assert.equal(verifyMessage(getBytes(hex), await signer.signMessage(getBytes(hex))), account);
    });
  }
  await check(`eth_sign by ${account}`, async () => {
    assert.equal(verifyMessage('Some data', await signer._legacySignMessage('Some data')), account);
  });
  for (const [name, { domain, types, message }] of typedData(Number(chainId))) {
    await check(`eth_signTypedData_v4 of ${name} by ${account}`, async () => {
      assert.equal(verifyTypedData(domain, types, message, await signer.signTypedData(domain, types, message)), account);
    });
  }
}

function sameTransaction(parsed, asked) {
  const { authorizationList, ...expected } = asked;
  for (const [name, value] of Object.entries(expected)) {
    const found = parsed[name];
    if (typeof value === 'bigint' || typeof value === 'number') assert.equal(BigInt(found), BigInt(value), name);
    else if (typeof value === 'string') assert.equal(found.toLowerCase(), value.toLowerCase(), name);
    else assert.deepEqual(JSON.parse(JSON.stringify(found).toLowerCase()), JSON.parse(JSON.stringify(value).toLowerCase()), name);
  }
  if (asked.to === undefined) assert.equal(parsed.to, null);
  if (asked.data === undefined) assert.equal(parsed.data, '0x');
  if (asked.accessList === undefined) assert.equal(parsed.accessList?.length ?? 0, 0);
  assert.equal(parsed.authorizationList?.length, authorizationList?.length);
  for (const [at, authorization] of (parsed.authorizationList ?? []).entries()) {
    const { address, nonce, chainId, signature } = authorization;
    assert.deepEqual([address, nonce, chainId], [authorizationList[at].address, authorizationList[at].nonce, authorizationList[at].chainId]);
    assert.equal(verifyAuthorization({ address, nonce, chainId }, signature), new Wallet(authorityKeys[at]).address);
  }
}

function authorizationList(count, chainId) {
  return Promise.all(authorityKeys.slice(0, count).map((key, at) =>
    new Wallet(key).authorize({ address: delegate, chainId: at === 0 ? chainId : 0n, nonce: BigInt(at) })));
}

async function refusals(provider, signer, { to, denied, chainId }, { check, skip }) {
  const transfer = { type: 2, to, nonce: 1, gasLimit: 21_000n, value: 1n, maxFeePerGas: 2n, maxPriorityFeePerGas: 1n, chainId };
  const refusal = async (promise) => {
    const error = await promise.then(() => assert.fail('it was signed'), (error) => error);
    assert.equal(error.code, 'UNKNOWN_ERROR', error.message);
    return error.error;
  };
  if (denied === undefined) {
    skip('a denial', 'no --denied ADDRESS');
  } else {
    await check('a denial comes with its policy and code', async () => {
      const { code, message, data } = await refusal(signer.signTransaction({ ...transfer, to: denied }));
      assert.equal(code, -32000);
      assert.ok(data.denials.length > 0 && data.code === data.denials[0].code);
      assert.ok(data.code.startsWith(`policy/${data.denials[0].policy}/`), data.code);
      assert.ok(message.startsWith(`${data.code}: `), message);
    });
  }
  await check('an account that is not here is forbidden', async () => {
    const from = new Wallet(authorityKeys[0]).address;
    const error = await refusal(provider.send('eth_signTransaction', [provider.getRpcTransaction({ ...transfer, from })]));
    assert.deepEqual([error.code, error.data], [-32000, { code: 'caller/forbidden', denials: [], retryAtMs: null }]);
  });
  for (const [missing, name] of [['nonce', 'nonce'], ['gasLimit', 'gas'], ['chainId', 'chainId']]) {
    await check(`a transaction without ${name} is no transaction`, async () => {
      const { [missing]: _, ...rest } = transfer;
      const error = await refusal(signer.signTransaction(rest));
      assert.equal(error.code, -32602);
      assert.ok(error.message.startsWith(`invalid params: \`${name}\` is missing`), error.message);
    });
  }
  await check('a method that there is not is unsupported', async () => {
    const error = await provider.send('eth_blockNumber', []).then(() => assert.fail('it answered'), (error) => error);
    assert.equal(error.code, 'UNSUPPORTED_OPERATION');
    assert.equal((error.info.error.error ?? error.info.error).code, -32601);
  });
}
