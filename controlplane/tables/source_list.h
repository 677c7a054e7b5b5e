// SPDX-License-Identifier: Apache-2.0
//
// The list of sources that may not begin sessions, ready for the arena (dataplane/contract/source_list.h). Made from
// prefixes that may overlap: they are merged, and what is exempt is cut out, whichever of the two is longer.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <vector>

#include "config/model.h"
#include "controlplane/tables/arena_image.h"
#include "dataplane/contract/source_list.h"

namespace sluice::control {

/// Immutable once shared; whether the list changed is whether the object did.
class SourceList {
 public:
  /// Both together at most channel::kMaxSourcePrefixes. Cost: for a million about a second, and 150 MiB meanwhile.
  static std::shared_ptr<const SourceList> of(std::span<const config::IpPrefix> blocked,
                                              std::span<const config::IpPrefix> allowed);

  bool contains(const config::IpAddress& address) const;
  const channel::SourceListLayout& layout() const { return layout_; }
  /// As it is to lie in the arena: layout().bytes() bytes.
  std::span<const std::byte> image() const { return image_.bytes(); }

 private:
  channel::SourceListLayout layout_;
  ArenaImage image_;
};

}  // namespace sluice::control
