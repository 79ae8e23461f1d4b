// Web3Signer's REST and what lies below the libraries, by fetch.

import assert from 'node:assert/strict';
import { computeAddress, getBytes, hashMessage, hexlify, concat, recoverAddress, Signature, toUtf8Bytes, Transaction } from 'ethers';

export async function web3signerChecks({ url, to, denied }, { check, skip }) {
  const rpc = (body) => fetch(url, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) });
  const call = async (method, params = []) => (await (await rpc({ jsonrpc: '2.0', id: 1, method, params })).json()).result;
  const sign = (identifier, body) => fetch(`${url}/api/v1/eth1/sign/${identifier}`, {
    method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body),
  });

  const keys = await (await fetch(`${url}/api/v1/eth1/publicKeys`, { headers: { accept: 'application/json' } })).json();
  const chainId = BigInt(await call('eth_chainId'));
  await check('the public keys are those of the accounts', async () => {
    assert.deepEqual(keys.map((key) => computeAddress(`0x04${key.slice(2)}`)), await call('eth_accounts'));
  });
  await check('upcheck and healthcheck', async () => {
    const up = await fetch(`${url}/upcheck`);
    assert.deepEqual([up.status, await up.text(), up.headers.get('content-type')], [200, 'OK', 'text/plain; charset=utf-8']);
    const health = await fetch(`${url}/healthcheck`);
    const body = await health.json();
    assert.deepEqual([health.status, body.status, body.outcome], [200, 'UP', 'UP']);
    assert.ok(body.checks.every(({ id, status }) => typeof id === 'string' && status === 'UP'));
    assert.equal(await call('health_status'), 'OK');
  });

  const fields = { to, nonce: 3, gasLimit: 21_000n, value: 5n, chainId };
  const shapes = {
    'a legacy transaction': { type: 0, gasPrice: 1n },
    'an EIP-2930 transaction': { type: 1, gasPrice: 1n },
    'an EIP-1559 transaction': { type: 2, maxFeePerGas: 2n, maxPriorityFeePerGas: 1n },
    'a blob transaction': { type: 3, maxFeePerGas: 2n, maxPriorityFeePerGas: 1n, maxFeePerBlobGas: 1n, blobVersionedHashes: [`0x01${'ab'.repeat(31)}`] },
  };
  for (const key of keys) {
    const address = computeAddress(`0x04${key.slice(2)}`);
    for (const [name, fees] of Object.entries(shapes)) {
      await check(`${name}'s bytes are signed by ${address}`, async () => {
        const transaction = Transaction.from({ ...fields, ...fees });
        const response = await sign(key, { data: transaction.unsignedSerialized });
        assert.deepEqual([response.status, response.headers.get('content-type')], [200, 'text/plain; charset=utf-8']);
        transaction.signature = Signature.from(await response.text());
        assert.equal(transaction.from, address);
        assert.equal(Transaction.from(transaction.serialized).from, address);
      });
    }
    await check(`a prefixed message is signed by ${address}, whose key is named without 0x`, async () => {
      const message = getBytes('0x35ff00');
      const data = hexlify(concat([toUtf8Bytes(`\x19Ethereum Signed Message:\n${message.length}`), message]));
      const signature = await (await sign(key.slice(2).toUpperCase(), { data })).text();
      assert.equal(recoverAddress(hashMessage(message), signature), address);
    });
  }

  if (denied === undefined) {
    skip('a denial', 'no --denied ADDRESS');
  } else {
    await check('a denial is 403', async () => {
      const response = await sign(keys[0], { data: Transaction.from({ ...fields, to: denied, type: 0, gasPrice: 1n }).unsignedSerialized });
      const body = await response.json();
      assert.equal(response.status, 403);
      assert.equal(body.code, body.denials[0].code);
    });
  }
  await check('an unknown key is 404', async () => {
    const response = await sign(`0x${'11'.repeat(64)}`, { data: '0x00' });
    assert.deepEqual([response.status, (await response.json()).code], [404, 'caller/forbidden']);
  });
  await check('malformed requests are 400', async () => {
    for (const body of [{}, { data: 'hello' }, { data: '0x0' }, []]) assert.equal((await sign(keys[0], body)).status, 400);
  });
  await check('a reload is refused', async () => {
    assert.equal((await fetch(`${url}/reload`, { method: 'POST' })).status, 501);
  });
  await check('a page in a browser gets nothing', async () => {
    const page = await fetch(url, { method: 'POST', headers: { 'content-type': 'text/plain' }, body: '{}' });
    assert.equal(page.status, 415);
    assert.equal(page.headers.get('access-control-allow-origin'), null);
  });
  await check('notifications and batches', async () => {
    assert.equal((await rpc({ jsonrpc: '2.0', method: 'eth_accounts' })).status, 204);
    const batch = [{ jsonrpc: '2.0', id: 'a', method: 'eth_chainId' }, { jsonrpc: '2.0', method: 'eth_chainId' }, 1];
    const answers = await (await rpc(batch)).json();
    assert.deepEqual(answers.map(({ id, error }) => [id, error?.code]), [['a', undefined], [null, -32600]]);
  });
  await check('ten thousand levels are refused', async () => {
    const body = `{"jsonrpc":"2.0","id":1,"method":"eth_signTypedData_v4","params":[${'['.repeat(10_000)}${']'.repeat(10_000)},1]}`;
    const response = await fetch(url, { method: 'POST', headers: { 'content-type': 'application/json' }, body });
    assert.equal((await response.json()).error.code, -32602);
  });
}
