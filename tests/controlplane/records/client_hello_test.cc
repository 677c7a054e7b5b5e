// SPDX-License-Identifier: Apache-2.0
//
// What is read of a ClientHello, and the fingerprint that follows from it.
#include "controlplane/records/client_hello.h"

#include <gtest/gtest.h>

#include "controlplane/records/ja4.h"
#include "tests/controlplane/support/hello_bytes.h"

namespace sluice::control {
namespace {

std::optional<ClientHello> read(const std::string& message) {
  // Of exactly the right size, so that reading beyond it is found out.
  const std::vector<uint8_t> bytes(message.begin(), message.end());
  return read_client_hello(bytes);
}

ClientHello must_read(const HelloBytes& hello) {
  const auto out = read(hello.message());
  EXPECT_TRUE(out);
  return out.value_or(ClientHello{});
}

TEST(ClientHelloReader, ReadsWhatClientsOffer) {
  const ClientHello hello = must_read(browsers_hello("MX.Example.Net"));
  EXPECT_EQ(hello.server_name, "mx.example.net");
  EXPECT_EQ(hello.alpn, "h2");
  EXPECT_EQ(version_text(hello.version), "1.3");
  EXPECT_EQ(hello.ciphers.size(), 15u) << "GREASE is left out";
  EXPECT_EQ(hello.extensions.size(), 16u);
  EXPECT_EQ(hello.signature_algorithms.front(), 0x0403);
}

TEST(ClientHelloReader, TakesTheHighestVersionThatIsNoGrease) {
  EXPECT_EQ(must_read(HelloBytes()).version, 0x0303) << "no list of them: as the hello itself says";
  EXPECT_EQ(must_read(HelloBytes().versions({0x0303, 0x0302})).version, 0x0303);
  EXPECT_EQ(must_read(HelloBytes().versions({0x7a7a, 0x0304})).version, 0x0304);
  EXPECT_EQ(version_text(0x0301), "1.0");
  EXPECT_EQ(version_text(0x7f1c), "0x7f1c");
}

TEST(ClientHelloReader, BelievesNoNameThatCannotBeAHosts) {
  for (const std::string& name :
       {std::string("a b"), std::string("mx\n.net"), std::string("m\xc3\xbc.net"), std::string(254, 'a')}) {
    const ClientHello hello = must_read(HelloBytes().server_name(name));
    EXPECT_EQ(hello.server_name, "");
    EXPECT_TRUE(hello.names_server);
  }
  EXPECT_EQ(must_read(HelloBytes().server_name(std::string(253, 'a'))).server_name.size(), 253u);
  EXPECT_EQ(must_read(HelloBytes().server_name("mx.net", 1)).server_name, "") << "no host name";
  EXPECT_FALSE(must_read(HelloBytes()).names_server);
}

TEST(ClientHelloReader, RefusesWhatIsCutOrTooLong) {
  const std::string whole = browsers_hello().message();
  for (size_t n = 0; n < whole.size(); n++) EXPECT_FALSE(read(whole.substr(0, n))) << n;
  EXPECT_FALSE(read(whole + "x"));
  std::string longer = browsers_hello().message() + "x";
  longer[3]++;  // the message's length says so, the extensions' does not
  EXPECT_FALSE(read(longer));
  EXPECT_FALSE(read(HelloBytes().with(5).with(5).message())) << "an extension twice";
  EXPECT_FALSE(read(HelloBytes().with(43, counted(1, "odd")).message()));
}

TEST(ClientHelloReader, KnowsFromTheFirstBytesHowLongItIs) {
  const auto length = [](const std::string& begin) {
    return hello_length({reinterpret_cast<const uint8_t*>(begin.data()), begin.size()});
  };
  EXPECT_TRUE(length("").is_hello);
  EXPECT_FALSE(length(std::string("\x01\x00\x01", 3)).bytes);
  EXPECT_EQ(length(std::string("\x01\x00\x01\x02", 4)).bytes, 4u + 258u);
  EXPECT_FALSE(length("\x02").is_hello) << "a ServerHello";
}

TEST(Ja4, IsThatOfItsDefinitionsExample) {
  EXPECT_EQ(ja4(must_read(browsers_hello())), "t13d1516h2_8daaf6152771_e5627efa2ab1");
}

TEST(Ja4, DoesNotDependOnTheOrderOfExtensions) {
  HelloBytes other = browsers_hello();
  std::swap(other.extensions[3], other.extensions[9]);
  std::swap(other.ciphers[2], other.ciphers[7]);
  EXPECT_EQ(ja4(must_read(other)), ja4(must_read(browsers_hello())));
}

TEST(Ja4, SaysWhatIsMissing) {
  HelloBytes bare;
  EXPECT_EQ(ja4(must_read(bare)).substr(0, 11), "t12i020000_");
  EXPECT_EQ(ja4(must_read(bare)).substr(24), "000000000000") << "no extension";
  bare.ciphers = {};
  EXPECT_EQ(ja4(must_read(bare)), "t12i000000_000000000000_000000000000");
}

TEST(Ja4, WritesAProtocolThatIsNoWordInHexadecimal) {
  EXPECT_EQ(ja4(must_read(HelloBytes().alpn("smtp"))).substr(8, 2), "sp");
  EXPECT_EQ(ja4(must_read(HelloBytes().alpn("\xab\x12"))).substr(8, 2), "a2");
  EXPECT_EQ(ja4(must_read(HelloBytes().alpn("x"))).substr(8, 2), "xx");
}

}  // namespace
}  // namespace sluice::control
