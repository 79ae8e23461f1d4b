//! Calls of ERC-20 tokens: the three functions of EIP-20 that let value go.

use super::{EvmTransaction, Input};
use crate::address::Address;
use crate::number::U256;
use std::fmt;

/// A call of an ERC-20 token that moves value, or lets another move it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Erc20 {
    /// `transfer(address,uint256)`: the key's own tokens go to `to`.
    Transfer {
        /// Who receives them.
        to: Address,
        /// How many, in the token's smallest unit.
        amount: U256,
    },
    /// `transferFrom(address,address,uint256)`: tokens of `from`, who approved that, go to `to`.
    TransferFrom {
        /// Whose they are.
        from: Address,
        /// Who receives them.
        to: Address,
        /// How many.
        amount: U256,
    },
    /// `approve(address,uint256)`: `spender` may take so many of the key's tokens, at any time.
    Approve {
        /// Who may take them.
        spender: Address,
        /// How many; 2^256-1 is how wallets write "all, for ever". 0 withdraws the approval.
        amount: U256,
    },
}

/// Why call data is none of the three calls. It may still be a call that the token carries out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Erc20Error {
    /// There is no call data, or less than a selector, or init code.
    NoCall,
    /// Another function.
    Function {
        /// Its selector.
        selector: [u8; 4],
    },
    /// The arguments are not exactly as long as the function's: the rest would be signed unread.
    Length {
        /// The function.
        function: &'static str,
        /// Bytes that its arguments have.
        wanted: usize,
        /// Bytes found.
        found: usize,
    },
    /// The twelve bytes before an address are not zero.
    Padding {
        /// The function.
        function: &'static str,
    },
}

impl fmt::Display for Erc20Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoCall => f.write_str("the call data names no function"),
            Self::Function { selector } => {
                write!(
                    f,
                    "function 0x{} is none of transfer, transferFrom and approve",
                    hex::encode(selector)
                )
            }
            Self::Length { function, wanted, found } => {
                write!(f, "the arguments of `{function}` have {wanted} bytes, and {found} were found")
            }
            Self::Padding { function } => write!(f, "an address in the arguments of `{function}` is longer than 20 bytes"),
        }
    }
}

impl std::error::Error for Erc20Error {}

const TRANSFER: [u8; 4] = [0xa9, 0x05, 0x9c, 0xbb];
const TRANSFER_FROM: [u8; 4] = [0x23, 0xb8, 0x72, 0xdd];
const APPROVE: [u8; 4] = [0x09, 0x5e, 0xa7, 0xb3];

impl Erc20 {
    /// Who gets the tokens, or may take them.
    #[must_use]
    pub fn recipient(&self) -> Address {
        match self {
            Self::Transfer { to, .. } | Self::TransferFrom { to, .. } => *to,
            Self::Approve { spender, .. } => *spender,
        }
    }

    /// How many, in the token's smallest unit.
    #[must_use]
    pub fn amount(&self) -> U256 {
        match self {
            Self::Transfer { amount, .. } | Self::TransferFrom { amount, .. } | Self::Approve { amount, .. } => *amount,
        }
    }

    /// The call data, as the Solidity ABI has it: what [`EvmTransaction::erc20`] reads.
    #[must_use]
    pub fn call_data(&self) -> Vec<u8> {
        let (selector, addresses) = match self {
            Self::Transfer { to, .. } => (TRANSFER, vec![to]),
            Self::TransferFrom { from, to, .. } => (TRANSFER_FROM, vec![from, to]),
            Self::Approve { spender, .. } => (APPROVE, vec![spender]),
        };
        let words = addresses.into_iter().flat_map(|address| [[0; 12].as_slice(), &address.0].concat());
        selector.into_iter().chain(words).chain(self.amount().to_be_bytes()).collect()
    }

    /// The function's name.
    #[must_use]
    pub fn function(&self) -> &'static str {
        match self {
            Self::Transfer { .. } => "transfer",
            Self::TransferFrom { .. } => "transferFrom",
            Self::Approve { .. } => "approve",
        }
    }
}

impl EvmTransaction<'_> {
    /// Its call data as a call of an ERC-20 token; whether the recipient is one, the data does not say.
    ///
    /// # Errors
    /// It is none of the three calls, exactly encoded.
    pub fn erc20(&self) -> Result<Erc20, Erc20Error> {
        let Input::Call { selector, arguments } = self.input() else {
            return Err(Erc20Error::NoCall);
        };
        match selector {
            TRANSFER => {
                let [to, amount] = words("transfer", arguments)?;
                let to = address("transfer", to)?;
                Ok(Erc20::Transfer {
                    to,
                    amount: U256::from_be_bytes(amount),
                })
            }
            TRANSFER_FROM => {
                let [from, to, amount] = words("transferFrom", arguments)?;
                let (from, to) = (address("transferFrom", from)?, address("transferFrom", to)?);
                Ok(Erc20::TransferFrom {
                    from,
                    to,
                    amount: U256::from_be_bytes(amount),
                })
            }
            APPROVE => {
                let [spender, amount] = words("approve", arguments)?;
                let spender = address("approve", spender)?;
                Ok(Erc20::Approve {
                    spender,
                    amount: U256::from_be_bytes(amount),
                })
            }
            selector => Err(Erc20Error::Function { selector }),
        }
    }
}

/// Exactly so many words of 32 bytes.
fn words<'a, const N: usize>(function: &'static str, arguments: &'a [u8]) -> Result<[&'a [u8; 32]; N], Erc20Error> {
    let wrong = Erc20Error::Length {
        function,
        wanted: N * 32,
        found: arguments.len(),
    };
    let (chunks, rest) = arguments.as_chunks::<32>();
    let all: Vec<&[u8; 32]> = chunks.iter().collect();
    if rest.is_empty() {
        all.try_into().map_err(|_| wrong)
    } else {
        Err(wrong)
    }
}

fn address(function: &'static str, word: &[u8; 32]) -> Result<Address, Erc20Error> {
    let (padding, address) = word.split_at(12);
    let whole = padding
        .iter()
        .all(|byte| *byte == 0)
        .then(|| Address::from_slice(address))
        .flatten();
    whole.ok_or(Erc20Error::Padding { function })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    fn read(data: &[u8]) -> Result<Erc20, Erc20Error> {
        testing::evm_transfer().bytes("evm.data", data).build().evm().unwrap().erc20()
    }

    #[test]
    fn the_three_calls_are_read() {
        let (a, b) = (Address([0xaa; 20]), Address([0xbb; 20]));
        let amount = U256::from(7u64);
        for call in [
            Erc20::Transfer { to: a, amount },
            Erc20::TransferFrom { from: a, to: b, amount },
            Erc20::Approve {
                spender: b,
                amount: U256::MAX,
            },
        ] {
            assert_eq!(read(&call.call_data()), Ok(call));
        }
    }

    /// The call data of a transfer in the Solidity documentation's own encoding, "Formal Specification of the Encoding".
    #[test]
    fn the_bytes_are_those_of_the_solidity_abi() {
        let call = Erc20::Transfer {
            to: Address([0x11; 20]),
            amount: U256::from(1_000_000u64),
        };
        let data = format!("a9059cbb{}{}{}f4240", "0".repeat(24), "11".repeat(20), "0".repeat(59));
        assert_eq!(hex::encode(call.call_data()), data);
    }

    #[test]
    fn what_is_not_exactly_a_call_is_refused() {
        let whole = Erc20::Transfer {
            to: Address([1; 20]),
            amount: U256::from(1u64),
        }
        .call_data();
        assert_eq!(read(&[]), Err(Erc20Error::NoCall));
        assert_eq!(read(&[0xa9, 5, 0x9c]), Err(Erc20Error::NoCall));
        let length = |found| Erc20Error::Length {
            function: "transfer",
            wanted: 64,
            found,
        };
        assert_eq!(read(&whole[..67]), Err(length(63)));
        assert_eq!(read(&[whole.as_slice(), &[0]].concat()), Err(length(65)));
        assert_eq!(read(&[whole.as_slice(), &[0; 32]].concat()), Err(length(96)));
        let mut padded = whole.clone();
        padded[4] = 1;
        assert_eq!(read(&padded), Err(Erc20Error::Padding { function: "transfer" }));
        let mut other = whole;
        other[0] = 0;
        assert!(matches!(read(&other), Err(Erc20Error::Function { .. })));
    }
}
