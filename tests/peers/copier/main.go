// copier copies an image as current skopeo does, with the libraries inside it: the other side in tests of encryption.
// Debian's skopeo is older and built without key providers.
//
//	copier [-encrypt RECIPIENT]... [-decrypt KEY]... SOURCE DESTINATION
//
// Image names are skopeo's: oci:FOLDER:TAG, docker://HOST/NAME:TAG, dir:FOLDER. RECIPIENT and KEY are skopeo's as well.
// Loopback registries are spoken to over plain HTTP.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"strings"

	encconfig "github.com/containers/ocicrypt/config"
	enchelpers "github.com/containers/ocicrypt/helpers"
	"go.podman.io/image/v5/copy"
	"go.podman.io/image/v5/directory"
	"go.podman.io/image/v5/docker"
	"go.podman.io/image/v5/oci/layout"
	"go.podman.io/image/v5/signature"
	"go.podman.io/image/v5/types"
)

type list []string

func (l *list) String() string { return strings.Join(*l, ",") }
func (l *list) Set(value string) error {
	*l = append(*l, value)
	return nil
}

func parse(name string) (types.ImageReference, error) {
	transport, rest, found := strings.Cut(name, ":")
	if !found {
		return nil, fmt.Errorf("%s has no transport", name)
	}
	switch transport {
	case "oci":
		return layout.ParseReference(rest)
	case "docker":
		return docker.ParseReference(rest)
	case "dir":
		return directory.Transport.ParseReference(rest)
	}
	return nil, fmt.Errorf("transport %s is not supported", transport)
}

func options(encrypt, decrypt []string) (*copy.Options, error) {
	system := &types.SystemContext{DockerInsecureSkipTLSVerify: types.OptionalBoolTrue}
	options := &copy.Options{SourceCtx: system, DestinationCtx: system, ReportWriter: os.Stderr}
	if len(encrypt) > 0 {
		crypto, err := enchelpers.CreateCryptoConfig(encrypt, nil)
		if err != nil {
			return nil, err
		}
		options.OciEncryptLayers = &[]int{}
		options.OciEncryptConfig = encconfig.CombineCryptoConfigs([]encconfig.CryptoConfig{crypto}).EncryptConfig
		// Layers stay as they are, so that tests know what was encrypted.
		options.DestinationCtx.OCIAcceptUncompressedLayers = true
	}
	if len(decrypt) > 0 {
		crypto, err := enchelpers.CreateCryptoConfig(nil, decrypt)
		if err != nil {
			return nil, err
		}
		options.OciDecryptConfig = encconfig.CombineCryptoConfigs([]encconfig.CryptoConfig{crypto}).DecryptConfig
	}
	return options, nil
}

func run(encrypt, decrypt []string, from, to string) error {
	source, err := parse(from)
	if err != nil {
		return err
	}
	destination, err := parse(to)
	if err != nil {
		return err
	}
	copyOptions, err := options(encrypt, decrypt)
	if err != nil {
		return err
	}
	policy, err := signature.NewPolicyContext(&signature.Policy{
		Default: signature.PolicyRequirements{signature.NewPRInsecureAcceptAnything()}})
	if err != nil {
		return err
	}
	_, err = copy.Image(context.Background(), policy, destination, source, copyOptions)
	return err
}

func main() {
	var encrypt, decrypt list
	flag.Var(&encrypt, "encrypt", "recipient; repeatable")
	flag.Var(&decrypt, "decrypt", "key; repeatable")
	flag.Parse()
	if flag.NArg() != 2 {
		fmt.Fprintln(os.Stderr, "usage: copier [-encrypt RECIPIENT]... [-decrypt KEY]... SOURCE DESTINATION")
		os.Exit(2)
	}
	if err := run(encrypt, decrypt, flag.Arg(0), flag.Arg(1)); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}
