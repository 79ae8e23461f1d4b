//go:build !celestia

package main

import (
	"context"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/cometbft/cometbft/abci/example/kvstore"
	abci "github.com/cometbft/cometbft/abci/types"
	"github.com/cometbft/cometbft/config"
	"github.com/cometbft/cometbft/crypto"
	"github.com/cometbft/cometbft/crypto/ed25519"
	"github.com/cometbft/cometbft/crypto/secp256k1"
	"github.com/cometbft/cometbft/libs/log"
	"github.com/cometbft/cometbft/node"
	"github.com/cometbft/cometbft/p2p"
	"github.com/cometbft/cometbft/proxy"
	"github.com/cometbft/cometbft/types"
	"sigwarden.test/cometbft/common"
)

// initChain writes the home of a chain whose only validator is the given public key.
func initChain(args []string) error {
	flags := flag.NewFlagSet("init", flag.ExitOnError)
	home := flags.String("home", "", "directory to write")
	chainID := flags.String("chain", "test-chain", "chain id")
	keyType := flags.String("key-type", ed25519.KeyType, "ed25519 or secp256k1")
	key := flags.String("key", "", "the validator's public key, hexadecimal")
	extensions := flags.Bool("extensions", false, "vote extensions from height 1")
	if err := flags.Parse(args); err != nil {
		return err
	}
	bytes, err := hex.DecodeString(*key)
	if err != nil {
		return err
	}
	var pubKey crypto.PubKey
	switch {
	case *keyType == ed25519.KeyType && len(bytes) == ed25519.PubKeySize:
		pubKey = ed25519.PubKey(bytes)
	case *keyType == secp256k1.KeyType && len(bytes) == secp256k1.PubKeySize:
		pubKey = secp256k1.PubKey(bytes)
	default:
		return fmt.Errorf("-key has %d bytes, which is no %s public key", len(bytes), *keyType)
	}
	config.EnsureRoot(*home)
	parameters := types.DefaultConsensusParams()
	parameters.Validator.PubKeyTypes = []string{*keyType}
	if *extensions {
		parameters.ABCI.VoteExtensionsEnableHeight = 1
	}
	genesis := types.GenesisDoc{
		ChainID: *chainID, GenesisTime: time.Now(), InitialHeight: 1, ConsensusParams: parameters,
		Validators: []types.GenesisValidator{{Address: pubKey.Address(), PubKey: pubKey, Power: 10, Name: "signer"}},
	}
	if err := genesis.ValidateAndComplete(); err != nil {
		return err
	}
	if err := genesis.SaveAs(filepath.Join(*home, "config", "genesis.json")); err != nil {
		return err
	}
	common.Print(map[string]any{"do": "init", "ok": true, "address": pubKey.Address().String()})
	return nil
}

// application is the kvstore; where extensions are enabled, each precommit carries one that is new each time it is asked for.
type application struct{ *kvstore.Application }

func (application) ExtendVote(_ context.Context, request *abci.RequestExtendVote) (*abci.ResponseExtendVote, error) {
	return &abci.ResponseExtendVote{VoteExtension: fmt.Appendf(nil, "height %d at %d", request.Height, time.Now().UnixNano())}, nil
}

// chain runs the one node of a chain that `init` wrote, until it has made so many blocks or is told to stop.
func chain(args []string) error {
	flags := flag.NewFlagSet("chain", flag.ExitOnError)
	home := flags.String("home", "", "directory that init wrote")
	privval := flags.String("privval", "", "priv_validator_laddr: tcp://host:port or unix:///path")
	blocks := flags.Int64("blocks", 0, "stop after so many blocks of this run; 0 never")
	commit := flags.Duration("commit", 20*time.Millisecond, "timeout_commit")
	level := flags.String("log", "", "log level to standard error; none by default")
	if err := flags.Parse(args); err != nil {
		return err
	}
	logger := log.NewNopLogger()
	if *level != "" {
		allowed, err := log.AllowLevel(*level)
		if err != nil {
			return err
		}
		logger = log.NewFilter(log.NewTMLogger(log.NewSyncWriter(os.Stderr)), allowed)
	}
	if path, unix := strings.CutPrefix(*privval, "unix://"); unix {
		// A node that was killed leaves its socket, and the next start of CometBFT fails on it.
		if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	running, err := start(settings(*home, *privval, *commit), logger)
	if err != nil {
		return err
	}
	defer func() { _ = running.Stop() }()
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM, os.Interrupt)
	return report(running, *blocks, signals)
}

func settings(home, privval string, commit time.Duration) *config.Config {
	all := config.DefaultConfig()
	all.SetRoot(home)
	all.PrivValidatorListenAddr = privval
	all.RPC.ListenAddress = ""
	all.P2P.ListenAddress = "tcp://127.0.0.1:0"
	all.P2P.AddrBookStrict = false
	all.P2P.PexReactor = false
	all.TxIndex.Indexer = "null"
	all.Consensus.TimeoutPropose = 500 * time.Millisecond
	all.Consensus.TimeoutProposeDelta = 100 * time.Millisecond
	all.Consensus.TimeoutPrevote = 100 * time.Millisecond
	all.Consensus.TimeoutPrecommit = 100 * time.Millisecond
	all.Consensus.TimeoutCommit = commit
	return all
}

func start(all *config.Config, logger log.Logger) (*node.Node, error) {
	nodeKey, err := p2p.LoadOrGenNodeKey(all.NodeKeyFile())
	if err != nil {
		return nil, err
	}
	app := application{kvstore.NewPersistentApplication(all.DBDir())}
	running, err := node.NewNode(
		all, nil, nodeKey, proxy.NewLocalClientCreator(app), node.DefaultGenesisDocProviderFunc(all),
		config.DefaultDBProvider, node.DefaultMetricsProvider(all.Instrumentation), logger,
	)
	if err != nil {
		return nil, err
	}
	return running, running.Start()
}

// report prints each block with the commit that it carries, of the block before.
func report(running *node.Node, blocks int64, signals <-chan os.Signal) error {
	subscription, err := running.EventBus().Subscribe(context.Background(), "report", types.EventQueryNewBlock, 1000)
	if err != nil {
		return err
	}
	common.Print(map[string]any{"do": "start", "ok": true, "height": running.BlockStore().Height()})
	for made := int64(0); blocks == 0 || made < blocks; made++ {
		select {
		case message := <-subscription.Out():
			event, right := message.Data().(types.EventDataNewBlock)
			if !right {
				return fmt.Errorf("%T is no block", message.Data())
			}
			line := map[string]any{"do": "block", "ok": true, "height": event.Block.Height, "hash": event.Block.Hash().String()}
			if last := event.Block.LastCommit; last != nil && len(last.Signatures) == 1 {
				line["commit"] = map[string]any{
					"height": last.Height, "round": last.Round, "hash": last.BlockID.Hash.String(),
					"signature": hex.EncodeToString(last.Signatures[0].Signature), "time": last.Signatures[0].Timestamp,
				}
			}
			common.Print(line)
		case <-subscription.Canceled():
			return errors.Join(errors.New("the node stopped"), subscription.Err())
		case <-signals:
			common.Print(map[string]any{"do": "stop", "ok": true})
			return nil
		}
	}
	return nil
}
