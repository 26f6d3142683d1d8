// Opening an encrypted layer: digest of the ciphertext, HMAC, decryption; against the same OpenSSL primitives called
// one after the other on a plain buffer.

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <cstdlib>

#include "bench/pairs.h"
#include "ocicrypt/layer.h"

namespace {

using namespace proplet;

void require(bool condition) {
  if (!condition) std::abort();
}

void reference(const Bytes& ciphertext, Bytes& plaintext, const ocicrypt::PrivateOptions& options,
               const EVP_CIPHER* cipher, const EVP_MD* sha256) {
  std::array<unsigned char, 32> digest{};
  unsigned size = 0;
  require(EVP_Digest(ciphertext.data(), ciphertext.size(), digest.data(), &size, sha256, nullptr) == 1);
  require(HMAC(sha256, options.key.view().data(), 32, ciphertext.data(), ciphertext.size(), digest.data(), &size) !=
          nullptr);
  EVP_CIPHER_CTX* context = EVP_CIPHER_CTX_new();
  int written = 0;
  require(EVP_DecryptInit_ex(context, cipher, nullptr, options.key.view().data(), options.nonce.data()) == 1);
  require(EVP_DecryptUpdate(context, plaintext.data(), &written, ciphertext.data(),
                            static_cast<int>(ciphertext.size())) == 1);
  EVP_CIPHER_CTX_free(context);
}

}  // namespace

int main() {
  SystemRandom random;
  for (const std::size_t size : {std::size_t{100} << 10, std::size_t{64} << 20}) {
    Bytes plaintext(size);
    random.fill(plaintext);
    const auto layer = ocicrypt::encrypt_layer(plaintext, random);
    const auto expected = crypto::sha256(layer.ciphertext);

    // As in a pull: the digest is computed while the blob arrives in its buffer, then the layer is opened in place.
    // Filling the buffer stands for the transfer and is not measured on either side.
    std::vector<SecretBytes> arrived;
    const int rounds = size > (1 << 20) ? 15 : 400;
    for (int i = 0; i <= rounds; ++i) arrived.push_back(SecretBytes::copy_of(layer.ciphertext));
    const auto ours = [&] {
      SecretBytes blob = std::move(arrived.back());
      arrived.pop_back();
      require(crypto::sha256(blob.view()) == expected);
      const auto opened = ocicrypt::decrypt_in_place(std::move(blob), layer.public_options, layer.private_options);
      require(opened.has_value());
    };
    Bytes out(size);
    EVP_CIPHER* cipher = EVP_CIPHER_fetch(nullptr, "AES-256-CTR", nullptr);
    EVP_MD* sha256 = EVP_MD_fetch(nullptr, "SHA256", nullptr);
    bench::compare({.name = "open_layer_" + std::to_string(size >> 10) + "_KiB",
                    .reference = "OpenSSL SHA-256, HMAC, AES-256-CTR in sequence",
                    .rounds = rounds,
                    .bytes = static_cast<double>(size)},
                   ours, [&] { reference(layer.ciphertext, out, layer.private_options, cipher, sha256); });
    require(out == plaintext);
    EVP_MD_free(sha256);
    EVP_CIPHER_free(cipher);
  }
}
