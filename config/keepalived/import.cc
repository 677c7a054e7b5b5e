// SPDX-License-Identifier: Apache-2.0
#include "config/keepalived/import.h"

#include <utility>

#include "config/keepalived/convert.h"

namespace sluice::config::keepalived {

imports::Imported import(const std::string& name, std::string_view text) {
  Remarks remarks("keepalived");
  const imports::Draft draft = convert(read_virtual_servers(read_blocks(text, remarks), remarks), remarks);
  return imports::finish(draft, std::move(remarks), name, "sluicectl import keepalived",
                         "no virtual_server over TCP leads to a server that can be converted");
}

}  // namespace sluice::config::keepalived
