//go:build celestia

package main

import (
	"errors"
	"time"

	"github.com/cometbft/cometbft/types"
	"sigwarden.test/cometbft/common"
)

// No chain: that of v0.38 is enough, and a node takes many more packages than a listener.
var programs map[string]func([]string) error

// Raw asks as Celestia's block propagation does.
func (s *signer) Raw(command common.Command) (answer common.Answer, err error) {
	key, err := s.pubKey()
	if err != nil {
		return answer, err
	}
	start := time.Now()
	answer.Signature, err = s.SignRawBytes(command.ChainID, command.UniqueID, command.Value)
	answer.Took(start)
	if err != nil {
		return answer, err
	}
	signBytes, err := types.RawBytesMessageSignBytes(command.ChainID, command.UniqueID, command.Value)
	if err == nil && !key.VerifySignature(signBytes, answer.Signature) {
		err = errors.New("the signature does not verify")
	}
	answer.Verify(err)
	return answer, nil
}
