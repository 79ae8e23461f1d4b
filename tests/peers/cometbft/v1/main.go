// Peers of CometBFT v1.x: its own listener for a remote signer.
package main

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"time"

	privvalproto "github.com/cometbft/cometbft/api/cometbft/privval/v1"
	"github.com/cometbft/cometbft/crypto"
	"github.com/cometbft/cometbft/crypto/ed25519"
	"github.com/cometbft/cometbft/libs/log"
	"github.com/cometbft/cometbft/privval"
	"github.com/cometbft/cometbft/types"
	"sigwarden.test/cometbft/common"
)

func main() {
	common.Main(open, nil)
}

type signer struct {
	*privval.SignerClient
	endpoint *privval.SignerListenerEndpoint
	key      crypto.PubKey
}

func open(how common.Listening) (common.Signer, string, error) {
	identity := ed25519.GenPrivKey()
	endpoint := privval.NewSignerListenerEndpoint(log.NewNopLogger(), nil)
	if how.Protocol == "unix" {
		listener := privval.NewUnixListener(how.Listener)
		privval.UnixListenerTimeoutReadWrite(how.ReadWrite)(listener)
		endpoint = privval.NewSignerListenerEndpoint(log.NewNopLogger(), listener, privval.SignerListenerEndpointTimeoutReadWrite(how.ReadWrite))
	} else {
		listener := privval.NewTCPListener(how.Listener, identity)
		privval.TCPListenerTimeoutReadWrite(how.ReadWrite)(listener)
		endpoint = privval.NewSignerListenerEndpoint(log.NewNopLogger(), listener, privval.SignerListenerEndpointTimeoutReadWrite(how.ReadWrite))
	}
	client, err := privval.NewSignerClient(endpoint, how.ChainID)
	return &signer{SignerClient: client, endpoint: endpoint}, hex.EncodeToString(identity.PubKey().Address()), err
}

func (s *signer) Connected(wait time.Duration) error { return s.WaitForConnection(wait) }

// Ping, since SignerClient.Ping says nothing of what went wrong.
func (s *signer) Ping() error {
	response, err := s.endpoint.SendRequest(privvalproto.Message{Sum: &privvalproto.Message_PingRequest{PingRequest: &privvalproto.PingRequest{}}})
	if err == nil && response.GetPingResponse() == nil {
		err = errors.New("the answer is no PingResponse")
	}
	return err
}

func (s *signer) PubKey() (string, []byte, error) {
	key, err := s.GetPubKey()
	if err != nil {
		return "", nil, err
	}
	s.key = key
	return key.Type(), key.Bytes(), nil
}

// pubKey is the key that votes are verified with: asked for once, as a node does.
func (s *signer) pubKey() (crypto.PubKey, error) {
	if s.key == nil {
		if _, _, err := s.PubKey(); err != nil {
			return nil, err
		}
	}
	return s.key, nil
}

func blockID(hash []byte) types.BlockID {
	if len(hash) == 0 {
		return types.BlockID{}
	}
	parts := sha256.Sum256(hash)
	return types.BlockID{Hash: hash, PartSetHeader: types.PartSetHeader{Total: 1, Hash: parts[:]}}
}

func (s *signer) Vote(command common.Command) (answer common.Answer, err error) {
	key, err := s.pubKey()
	if err != nil {
		return answer, err
	}
	vote := types.Vote{
		Type: types.PrevoteType, Height: command.Height, Round: command.Round, BlockID: blockID(command.Block),
		Timestamp: command.Time, ValidatorAddress: key.Address(), ValidatorIndex: 7, Extension: command.Extension,
	}
	if command.Type == "precommit" {
		vote.Type = types.PrecommitType
	}
	message := vote.ToProto()
	start := time.Now()
	err = s.SignVote(command.ChainID, message, !command.SkipExtension)
	answer.Took(start)
	if err != nil {
		return answer, err
	}
	signed, err := types.VoteFromProto(message)
	if err != nil {
		return answer, err
	}
	answer.Signature, answer.ExtensionSignature, answer.Time = signed.Signature, signed.ExtensionSignature, &signed.Timestamp
	answer.Verify(errors.Join(signed.Verify(command.ChainID, key), signed.ValidateBasic(), same(vote, *signed)))
	if vote.Type == types.PrecommitType && !vote.BlockID.IsNil() && !command.SkipExtension {
		answer.VerifyExtension(signed.VerifyVoteAndExtension(command.ChainID, key))
	}
	return answer, nil
}

// same says whether all but signatures and time came back as it was sent.
func same(sent, got types.Vote) error {
	got.Signature, got.ExtensionSignature, got.Timestamp = nil, nil, sent.Timestamp
	if sent.String() != got.String() || sent.ValidatorIndex != got.ValidatorIndex {
		return errors.New("the vote that came back is another: " + got.String())
	}
	return nil
}

func (s *signer) Proposal(command common.Command) (answer common.Answer, err error) {
	key, err := s.pubKey()
	if err != nil {
		return answer, err
	}
	proposal := types.NewProposal(command.Height, command.Round, command.POLRound, blockID(command.Block), command.Time)
	message := proposal.ToProto()
	start := time.Now()
	err = s.SignProposal(command.ChainID, message)
	answer.Took(start)
	if err != nil {
		return answer, err
	}
	signed, err := types.ProposalFromProto(message)
	if err != nil {
		return answer, err
	}
	answer.Signature, answer.Time = signed.Signature, &signed.Timestamp
	if !key.VerifySignature(types.ProposalSignBytes(command.ChainID, message), signed.Signature) {
		answer.Verify(errors.New("the proposal's signature does not verify"))
	} else {
		answer.Verify(signed.ValidateBasic())
	}
	return answer, nil
}

func (s *signer) ErrorCode(err error) (int, bool) {
	var remote *privval.RemoteSignerError
	if errors.As(err, &remote) {
		return remote.Code, true
	}
	return 0, false
}
