// What is signed: one transaction of each type and shape, messages, and typed data. Plain values, which each library gets in its own form.

const address = (byte) => `0x${byte.repeat(20)}`;
const word = (byte) => `0x${byte.repeat(32)}`;

export const accessList = [
  { address: address('11'), storageKeys: [word('01'), word('ff')] },
  { address: address('22'), storageKeys: [] },
];

const legacyFees = { gasPrice: 20_000_000_000n };
const fees = { maxFeePerGas: 30_000_000_000n, maxPriorityFeePerGas: 1_500_000_000n };
const transfer = (to) => ({ to, nonce: 9, gas: 21_000n, value: 10n ** 18n });
const call = (to) => ({ to, nonce: 255, gas: 100_000n, value: 0n, data: '0xa9059cbb00ff' });
const creation = { nonce: 0, gas: 1_000_000n, value: 0n, data: '0x6000600055' };

// The types by viem's names. `authorization` stands for one that the client signs itself, with a key of its own.
export function transactions(to) {
  return [
    ['legacy transfer', 'legacy', { ...transfer(to), ...legacyFees }],
    ['legacy call', 'legacy', { ...call(to), ...legacyFees }],
    ['legacy creation', 'legacy', { ...creation, ...legacyFees }],
    ['EIP-2930 call', 'eip2930', { ...call(to), ...legacyFees, accessList }],
    ['EIP-1559 transfer', 'eip1559', { ...transfer(to), ...fees }],
    ['EIP-1559 call with access list', 'eip1559', { ...call(to), ...fees, accessList }],
    ['EIP-1559 creation', 'eip1559', { ...creation, ...fees }],
    ['EIP-1559 at its largest', 'eip1559', {
      to, nonce: 2 ** 40, gas: 2n ** 53n, value: 2n ** 255n, data: `0x${'ab'.repeat(4096)}`, maxFeePerGas: 2n ** 200n, maxPriorityFeePerGas: 2n ** 200n,
    }],
    ['EIP-4844 without its sidecar', 'eip4844', {
      ...call(to), ...fees, accessList, maxFeePerBlobGas: 7n, blobVersionedHashes: [`0x01${'ab'.repeat(31)}`, `0x01${'00'.repeat(31)}`],
    }],
    ['EIP-7702 with two authorizations', 'eip7702', { ...call(to), ...fees, accessList, authorizations: 2 }],
  ];
}

export const typeNumber = { legacy: 0, eip2930: 1, eip1559: 2, eip4844: 3, eip7702: 4 };

// Keys that sign nothing but the authorizations inside of the transactions.
export const authorityKeys = [word('a1'), word('a2')];
export const delegate = address('33');

export const messages = [
  ['text', 'Some data'],
  ['text beyond ASCII', 'Grüße, 世界 🌍'],
  ['nothing', ''],
  ['several lines', 'one\ntwo\r\n\tthree'],
  ['a hundred and one bytes', 'x'.repeat(101)],
];
// As bytes: not UTF-8, and the length of an address.
export const byteMessages = [
  ['bytes that are no text', '0x00ff80c1'],
  ['a digest', word('5a')],
  ['the bytes of an address', address('44')],
];

export function typedData(chainId) {
  return [
    // EIP-712, section "Example".
    ['the mail of EIP-712', {
      domain: { name: 'Ether Mail', version: '1', chainId, verifyingContract: '0xCcCCccccCCCCcCCCCCCcCcCccCcCCCcCcccccccC' },
      types: {
        Person: [{ name: 'name', type: 'string' }, { name: 'wallet', type: 'address' }],
        Mail: [{ name: 'from', type: 'Person' }, { name: 'to', type: 'Person' }, { name: 'contents', type: 'string' }],
      },
      primaryType: 'Mail',
      message: {
        from: { name: 'Cow', wallet: '0xCD2a3d9F938E13CD947Ec05AbC7FE734Df8DD826' },
        to: { name: 'Bob', wallet: '0xbBbBBBBbbBBBbbbBbbBbbbbBBbBbbbbBbBbbBBbB' },
        contents: 'Hello, Bob!',
      },
    }],
    // EIP-2612.
    ['a permit', {
      domain: { name: 'USD Coin', version: '2', chainId, verifyingContract: '0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48' },
      types: {
        Permit: [
          { name: 'owner', type: 'address' }, { name: 'spender', type: 'address' }, { name: 'value', type: 'uint256' },
          { name: 'nonce', type: 'uint256' }, { name: 'deadline', type: 'uint256' },
        ],
      },
      primaryType: 'Permit',
      message: { owner: address('55'), spender: address('66'), value: 2n ** 256n - 1n, nonce: 0n, deadline: 1_900_000_000n },
    }],
    ['arrays, small integers and bytes', {
      domain: { name: 'Shapes', chainId },
      types: {
        Item: [{ name: 'id', type: 'uint8' }, { name: 'delta', type: 'int64' }, { name: 'tag', type: 'bytes4' }],
        Order: [
          { name: 'items', type: 'Item[]' }, { name: 'pair', type: 'uint16[2]' }, { name: 'data', type: 'bytes' },
          { name: 'open', type: 'bool' }, { name: 'notes', type: 'string[]' },
        ],
      },
      primaryType: 'Order',
      message: {
        items: [{ id: 1, delta: -5n, tag: '0x01020304' }, { id: 255, delta: 0n, tag: '0x00000000' }],
        pair: [1, 65535], data: '0x00ff', open: true, notes: [],
      },
    }],
  ];
}
