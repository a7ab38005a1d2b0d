// A digit's class from C++: first_answer DIGITS.onnx
#include <iostream>
#include <leat.hpp>

int main(int argc, char** argv) try {
  std::vector<float> picture(28 * 28);
  for (int row = 4; row < 24; ++row) picture[row * 28 + 14] = 255;  // an upright bar is a one
  leat::Model model(argc > 1 ? argv[1] : "digits.onnx");
  const std::vector<leat::Tensor> y = model.run({leat::view(picture, {1, 1, 28, 28})});
  for (int i = 0; i < 10; ++i) std::cout << i << ' ' << y[0].as<float>()[i] << '\n';
} catch (const leat::Error& error) {
  return std::cerr << error.what() << '\n', 1;
}
