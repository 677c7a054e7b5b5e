// SPDX-License-Identifier: Apache-2.0
#include "controlplane/page/page.h"

#include <gtest/gtest.h>
#include <openssl/evp.h>

#include <array>

namespace sluice::control {
namespace {

/// "'sha256-BASE64'" of what is between the two marks, of which there is one pair.
std::string digest_between(std::string_view text, std::string_view open, std::string_view close) {
  const size_t begin = text.find(open) + open.size();
  const size_t end = text.find(close, begin);
  EXPECT_EQ(text.find(open, begin), std::string_view::npos) << "more than one " << open;
  std::array<unsigned char, 32> digest{};
  EXPECT_EQ(EVP_Digest(text.data() + begin, end - begin, digest.data(), nullptr, EVP_sha256(), nullptr), 1);
  std::array<unsigned char, 64> base64{};
  EVP_EncodeBlock(base64.data(), digest.data(), digest.size());
  return "'sha256-" + std::string(reinterpret_cast<const char*>(base64.data())) + "'";
}

ApiResponse answer_to(const std::string& path, boost::beast::http::verb method = boost::beast::http::verb::get) {
  Router router;
  add_page_routes(router);
  ApiResponse out;
  router.answer({.method = method, .path = path, .may_write = true},
                Reply([&](ApiResponse answer) { out = std::move(answer); }));
  return out;
}

TEST(Page, IsServedAtTheRootWithAPolicyThatAllowsItAndNothingElse) {
  const ApiResponse answer = answer_to("/");
  EXPECT_EQ(answer.status, boost::beast::http::status::ok);
  EXPECT_EQ(answer.content_type, "text/html; charset=utf-8");
  EXPECT_TRUE(answer.body.starts_with("<!DOCTYPE html>"));
  ASSERT_FALSE(answer.headers.empty());
  EXPECT_EQ(answer.headers[0].first, "Content-Security-Policy");
  const std::string& policy = answer.headers[0].second;
  EXPECT_NE(policy.find("default-src 'none'"), std::string::npos);
  EXPECT_EQ(policy.find("unsafe"), std::string::npos);
  EXPECT_EQ(policy.find('*'), std::string::npos);
  EXPECT_NE(policy.find("script-src " + digest_between(page_text(), "<script>", "</script>") + ";"), std::string::npos)
      << policy;
  EXPECT_NE(policy.find("style-src " + digest_between(page_text(), "<style>", "</style>") + ";"), std::string::npos)
      << policy;
}

TEST(Page, FetchesNothingFromElsewhereAndWritesNoMarkup) {
  EXPECT_EQ(page_text().find("@STYLE@"), std::string_view::npos);
  EXPECT_EQ(page_text().find("@SCRIPT@"), std::string_view::npos);
  for (const std::string_view word :
       {"src=", "@import", "url(", "eval(", ".innerHTML", ".outerHTML", "insertAdjacentHTML", "document.write"})
    EXPECT_EQ(page_text().find(word), std::string_view::npos) << word;
  size_t links = 0;
  for (size_t at = page_text().find("http"); at != std::string_view::npos; at = page_text().find("http", at + 1)) {
    EXPECT_TRUE(page_text().substr(at).starts_with("http://www.w3.org/2000/svg")) << page_text().substr(at, 60);
    links++;
  }
  EXPECT_EQ(links, 1u) << "a name, not an address";
}

TEST(Page, IsOnlyRead) {
  EXPECT_EQ(answer_to("/", boost::beast::http::verb::post).status, boost::beast::http::status::method_not_allowed);
}

}  // namespace
}  // namespace sluice::control
