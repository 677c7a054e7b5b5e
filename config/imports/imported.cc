// SPDX-License-Identifier: Apache-2.0
#include "config/imports/imported.h"

#include <fmt/format.h>

#include <utility>

#include "config/load.h"

namespace sluice::config::imports {

Imported finish(const Draft& draft, Remarks remarks, const std::string& origin, const std::string& command,
                const std::string& nothing) {
  if (!draft.services.empty()) {  // write_draft() says it where it stands
    remarks.to_do(0, "dataplane.ports: name your network card's ports as devices");
    remarks.to_do(0, "instance: the name by which its units are started, sluice-control@NAME");
  }
  Imported out{.text = {}, .remarks = std::move(remarks).sorted(), .failure = {}};
  if (draft.services.empty()) {
    out.failure = "nothing to convert: " + nothing;
    return out;
  }
  out.text = write_draft(draft, origin, command);
  if (const auto loaded = load_text("converted", out.text); !loaded) {
    out.text.clear();
    out.failure =
        fmt::format("the result would be refused, in {} place{}: {}", loaded.error().size(),
                    loaded.error().size() == 1 ? "" : "s, the first of them", loaded.error().front().to_string());
  }
  return out;
}

}  // namespace sluice::config::imports
