package main

import (
	"errors"
	"time"

	"sigwarden.test/cometbft/common"
)

// Raw asks as an application's peer does: the bytes are signed as they are.
func (s *signer) Raw(command common.Command) (answer common.Answer, err error) {
	key, err := s.pubKey()
	if err != nil {
		return answer, err
	}
	start := time.Now()
	answer.Signature, err = s.SignBytes(command.Value)
	answer.Took(start)
	if err != nil {
		return answer, err
	}
	if !key.VerifySignature(command.Value, answer.Signature) {
		err = errors.New("the signature does not verify")
	}
	answer.Verify(err)
	return answer, nil
}
