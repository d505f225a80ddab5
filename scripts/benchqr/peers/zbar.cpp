// zbar as a peer: QR codes only, light on dark tried too where dark on light
// found nothing.
#include <zbar.h>

#include "serve.h"

int main() {
  zbar::ImageScanner scanner;
  scanner.set_config(zbar::ZBAR_NONE, zbar::ZBAR_CFG_ENABLE, 0);
  scanner.set_config(zbar::ZBAR_QRCODE, zbar::ZBAR_CFG_ENABLE, 1);
  scanner.set_config(zbar::ZBAR_NONE, zbar::ZBAR_CFG_TEST_INVERTED, 1);
  return serve([&](const uint8_t* pixels, int width, int height, int) {
    zbar::Image image(width, height, "Y800", pixels, size_t(width) * height);
    scanner.scan(image);
    std::vector<std::string> texts;
    for (auto symbol = image.symbol_begin(); symbol != image.symbol_end(); ++symbol)
      texts.push_back(symbol->get_data());
    return texts;
  });
}
