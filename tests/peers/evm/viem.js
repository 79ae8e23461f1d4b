// viem asks, parses, recovers.
//
// How viem shows a refusal: the error that it throws has a cause, an RpcRequestError, with `code` and `data` as they were sent. The error itself
// is named after the code (-32000 is `InvalidInputRpcError`, -32602 `InvalidParamsRpcError`, -32601 `MethodNotFoundRpcError`), and its
// `details` is the message.

import assert from 'node:assert/strict';
import {
  createWalletClient, defineChain, http, isAddressEqual, parseTransaction, recoverMessageAddress, recoverTransactionAddress,
  recoverTypedDataAddress, RpcRequestError, verifyMessage, verifyTypedData,
} from 'viem';
import { privateKeyToAccount } from 'viem/accounts';
import { recoverAuthorizationAddress } from 'viem/utils';
import { accessList, authorityKeys, byteMessages, delegate, messages, transactions, typedData } from './cases.js';

export async function viemChecks({ url, to, denied }, { check, skip }) {
  const bare = createWalletClient({ transport: http(url, { retryCount: 0 }) });
  const addresses = await bare.getAddresses();
  const chainId = await bare.getChainId();
  assert.ok(addresses.length > 0 && chainId > 0);
  const chain = defineChain({ id: chainId, name: 'here', nativeCurrency: { name: 'Ether', symbol: 'ETH', decimals: 18 }, rpcUrls: { default: { http: [url] } } });

  for (const account of addresses) {
    const client = createWalletClient({ account, chain, transport: http(url, { retryCount: 0 }) });
    const isOurs = (address) => assert.ok(isAddressEqual(address, account), `${address} signed, not ${account}`);

    for (const [name, type, fields] of transactions(to)) {
      await check(`${name} by ${account}`, async () => {
        const transaction = { type, ...await withAuthorizations(fields, chainId) };
        const raw = await client.signTransaction(transaction);
        await sameTransaction(parseTransaction(raw), { ...transaction, chainId });
        isOurs(await recoverTransactionAddress({ serializedTransaction: raw }));
      });
    }
    const all = [...messages.map(([name, text]) => [name, text]), ...byteMessages.map(([name, raw]) => [name, { raw }])];
    for (const [name, message] of all) {
      await check(`personal_sign of ${name} by ${account}`, async () => {
        const signature = await client.signMessage({ message });
        isOurs(await recoverMessageAddress({ message, signature }));
        assert.ok(await verifyMessage({ address: account, message, signature }));
      });
    }
    await check(`eth_sign by ${account}`, async () => {
      const raw = '0x00112233';
      const signature = await client.request({ method: 'eth_sign', params: [account, raw] });
      isOurs(await recoverMessageAddress({ message: { raw }, signature }));
    });
    for (const [name, data] of typedData(chainId)) {
      await check(`eth_signTypedData_v4 of ${name} by ${account}`, async () => {
        const signature = await client.signTypedData(data);
        isOurs(await recoverTypedDataAddress({ ...data, signature }));
        assert.ok(await verifyTypedData({ ...data, address: account, signature }));
      });
    }
  }
  await refusals({ url, to, denied, chain, account: addresses[0] }, { check, skip });
}

// Everything that was asked for, and nothing else.
async function sameTransaction(parsed, asked) {
  const { r, s, v, yParity, authorizationList, ...fields } = parsed;
  assert.ok(r && s && v !== undefined && yParity !== undefined);
  const { authorizationList: askedList, ...expected } = asked;
  if (expected.value === 0n) delete expected.value;
  for (const [name, value] of Object.entries(expected)) assert.deepEqual(fields[name], value, name);
  for (const name of Object.keys(fields)) assert.ok(name in expected || isNothing(fields[name]), `${name} was not asked for`);
  assert.equal(authorizationList?.length, askedList?.length);
  for (const [at, authorization] of (authorizationList ?? []).entries()) {
    const authority = await recoverAuthorizationAddress({ authorization });
    assert.ok(isAddressEqual(authority, privateKeyToAccount(authorityKeys[at]).address));
    for (const name of ['address', 'chainId', 'nonce', 'yParity']) assert.equal(authorization[name], askedList[at][name], name);
  }
}

const isNothing = (value) => value === undefined || (Array.isArray(value) && value.length === 0);

async function withAuthorizations({ authorizations, ...fields }, chainId) {
  if (authorizations === undefined) return fields;
  const signed = authorityKeys.slice(0, authorizations).map((key, at) =>
    privateKeyToAccount(key).signAuthorization({ address: delegate, chainId: at === 0 ? chainId : 0, nonce: at }));
  return { ...fields, authorizationList: await Promise.all(signed) };
}

async function refusals({ url, to, denied, chain, account }, { check, skip }) {
  const client = createWalletClient({ account, chain, transport: http(url, { retryCount: 0 }) });
  const transfer = { type: 'eip1559', to, nonce: 1, gas: 21_000n, value: 1n, maxFeePerGas: 2n, maxPriorityFeePerGas: 1n };
  const refusal = async (promise, name) => {
    const error = await promise.then(() => assert.fail('it was signed'), (error) => error);
    const cause = error.walk((cause) => cause instanceof RpcRequestError);
    assert.ok(cause, error.message);
    assert.ok(error.walk((cause) => cause.name === name), `no ${name}: ${error.message}`);
    return cause;
  };

  if (denied === undefined) {
    skip('a denial', 'no --denied ADDRESS');
  } else {
    await check('a denial comes with its policy and code', async () => {
      const cause = await refusal(client.signTransaction({ ...transfer, to: denied }), 'InvalidInputRpcError');
      assert.equal(cause.code, -32000);
      assert.deepEqual(Object.keys(cause.data).sort(), ['code', 'denials', 'retryAtMs']);
      assert.ok(cause.data.denials.length > 0);
      for (const denial of cause.data.denials) {
        assert.deepEqual(Object.keys(denial).sort(), ['code', 'message', 'policy', 'retryAtMs']);
        assert.ok(denial.code.startsWith(`policy/${denial.policy}/`), denial.code);
      }
      assert.equal(cause.data.code, cause.data.denials[0].code);
      assert.ok(cause.details?.startsWith(cause.data.code) || cause.message.includes(cause.data.code));
    });
  }
  await check('an account that is not here is forbidden', async () => {
    const other = privateKeyToAccount(authorityKeys[0]).address;
    const stranger = createWalletClient({ account: other, chain, transport: http(url, { retryCount: 0 }) });
    const cause = await refusal(stranger.signTransaction(transfer), 'InvalidInputRpcError');
    assert.deepEqual([cause.code, cause.data], [-32000, { code: 'caller/forbidden', denials: [], retryAtMs: null }]);
  });
  for (const missing of ['nonce', 'gas', 'maxFeePerGas']) {
    await check(`a transaction without ${missing} is no transaction`, async () => {
      const { [missing]: _, ...rest } = transfer;
      const cause = await refusal(client.signTransaction(rest), 'InvalidParamsRpcError');
      assert.equal(cause.code, -32602);
      assert.ok(cause.message.includes(`\`${missing}\` is missing`), cause.message);
    });
  }
  await check('a transaction for another chain is refused', async () => {
    const params = [{ from: account, to, chainId: '0x7fffffff', nonce: '0x0', gas: '0x5208', gasPrice: '0x1', accessList }];
    assert.equal((await refusal(client.request({ method: 'eth_signTransaction', params }), 'InvalidParamsRpcError')).code, -32602);
  });
  await check('blobs are refused', async () => {
    const blobs = { ...transfer, type: 'eip4844', maxFeePerBlobGas: 1n, blobs: [`0x${'00'.repeat(64)}`], blobVersionedHashes: [`0x01${'00'.repeat(31)}`] };
    const cause = await refusal(client.signTransaction(blobs), 'InvalidParamsRpcError');
    assert.ok(cause.message.includes('sidecar'), cause.message);
  });
  await check('sending is not for a signer', async () => {
    const params = [{ from: account, to }];
    assert.equal((await refusal(client.request({ method: 'eth_sendTransaction', params }), 'MethodNotFoundRpcError')).code, -32601);
  });
}
