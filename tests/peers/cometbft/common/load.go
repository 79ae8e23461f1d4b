package common

import (
	"fmt"
	"slices"
	"time"
)

// Load is what a run of votes back to back took, as a node sees it: from the request written to the response read.
type Load struct {
	Votes          int     `json:"votes"`
	MedianMicros   float64 `json:"median_us"`
	P99Micros      float64 `json:"p99_us"`
	MaxMicros      float64 `json:"max_us"`
	VotesPerSecond float64 `json:"votes_per_second"`
}

// load asks for votes at rising heights, one after another, as a chain would. CometBFT's verification is not in the figures.
func load(signer Signer, command Command) (Answer, error) {
	latencies := make([]float64, 0, command.Votes)
	total := 0.0
	for range command.Votes {
		answer, err := signer.Vote(command)
		if err != nil {
			return Answer{}, fmt.Errorf("height %d: %w", command.Height, err)
		}
		if !answer.Verified {
			return Answer{}, fmt.Errorf("height %d: %s", command.Height, answer.VerifyError)
		}
		micros := float64(answer.took.Nanoseconds()) / 1e3
		latencies = append(latencies, micros)
		total += micros
		command.Height++
	}
	if len(latencies) == 0 {
		return Answer{}, fmt.Errorf("votes is %d; at least 1 is right", command.Votes)
	}
	slices.Sort(latencies)
	last := len(latencies) - 1
	return Answer{Verified: true, Load: &Load{
		Votes:          len(latencies),
		MedianMicros:   latencies[last/2],
		P99Micros:      latencies[last*99/100],
		MaxMicros:      latencies[last],
		VotesPerSecond: float64(len(latencies)) * 1e6 / total,
	}}, nil
}

// Took notes how long CometBFT's client waited for the answer.
func (a *Answer) Took(start time.Time) { a.took = time.Since(start) }

// Verify notes what CometBFT's verification of the signature says.
func (a *Answer) Verify(err error) {
	a.Verified = err == nil
	a.note(err)
}

// VerifyExtension notes what CometBFT's verification of the extension's signature says.
func (a *Answer) VerifyExtension(err error) {
	a.ExtensionVerified = err == nil
	a.note(err)
}

func (a *Answer) note(err error) {
	if err != nil {
		a.VerifyError += err.Error() + "; "
	}
}
