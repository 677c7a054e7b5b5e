// SPDX-License-Identifier: Apache-2.0
//
// What an import comes to: a file of ours that our own loader takes, or why there is none.
#pragma once

#include <string>
#include <vector>

#include "config/imports/draft.h"
#include "config/imports/remarks.h"

namespace sluice::config::imports {

struct Imported {
  std::string text;  // a file that our loader takes; "" if nothing could be converted
  std::vector<Remark> remarks;
  std::string failure;  // why `text` is empty
};

/// `origin`: the file that the draft was made of, by `command`. `nothing`: why there is no service in it, if so.
Imported finish(const Draft& draft, Remarks remarks, const std::string& origin, const std::string& command,
                const std::string& nothing);

}  // namespace sluice::config::imports
