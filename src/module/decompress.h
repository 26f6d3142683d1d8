// Decompression of image layers: gzip (RFC 1952) and zstd (RFC 8878), in memory only.
//
// Layers may hold confidential plaintext, so nothing here touches a file system and every buffer is wiped, those of the
// libraries included. Input is hostile. What comes out is bounded twice: by the caller's `limit`, and by what
// compression can do to something sensible (see `expansion_limit`). Several members or frames in a row are one
// content, skippable frames are skipped.
#pragma once

#include <stop_token>

#include "base/bytes.h"
#include "base/result.h"
#include "base/secret_bytes.h"

namespace proplet::module {

// Both: more bytes than allowed are SIZE_LIMIT; damaged, truncated, or followed by anything else FORMAT_INVALID;
// stopped CANCELLED.
Result<SecretBytes> gunzip(ByteView compressed, std::size_t limit, const std::stop_token& stop = {});
Result<SecretBytes> unzstd(ByteView compressed, std::size_t limit, const std::stop_token& stop = {});

// The most that `compressed` bytes may become, whatever a caller's limit: 16 MiB, or 256 times as much if that is more.
// Machine code and text shrink to a tenth at best; a bomb shrinks to a thousandth, and to a thirty-thousandth by zstd.
std::size_t expansion_limit(std::size_t compressed);

}  // namespace proplet::module
