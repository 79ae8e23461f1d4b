module sigwarden.test/cometbft/common

go 1.25
