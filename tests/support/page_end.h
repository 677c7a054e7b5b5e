// SPDX-License-Identifier: Apache-2.0
//
// Memory that ends where nothing can be read: whoever reads a byte too many is killed.
#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <cstring>
#include <string_view>
#include <system_error>

namespace sluice::testing {

class PageEnd {
 public:
  PageEnd() {
    void* pages = mmap(nullptr, 2 * page_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (pages == MAP_FAILED) throw std::system_error(errno, std::generic_category(), "mmap");
    begin_ = static_cast<char*>(pages);
    if (mprotect(begin_ + page_, page_, PROT_NONE) != 0) {
      throw std::system_error(errno, std::generic_category(), "mprotect");
    }
  }
  ~PageEnd() { munmap(begin_, 2 * page_); }
  PageEnd(const PageEnd&) = delete;
  PageEnd& operator=(const PageEnd&) = delete;

  /// A copy of `text`, at most a page, whose last byte is the last that can be read. Until the next call.
  std::string_view put(std::string_view text) {
    char* at = begin_ + page_ - text.size();
    std::memcpy(at, text.data(), text.size());
    return {at, text.size()};
  }

 private:
  const size_t page_ = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  char* begin_;
};

}  // namespace sluice::testing
