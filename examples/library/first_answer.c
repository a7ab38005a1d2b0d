/* A digit's class from C: first_answer DIGITS.onnx */
#include <leat.h>
#include <stdio.h>

int main(int argc, char** argv) {
  static float picture[28 * 28], scores[10];
  for (int row = 4; row < 24; ++row) picture[row * 28 + 14] = 255; /* an upright bar is a one */
  leat_tensor x = {picture, sizeof picture, LEAT_F32, 4, {1, 1, 28, 28}};
  leat_tensor y = {scores, sizeof scores};
  leat_model* model;
  if (argc < 2) return 2;
  if (leat_model_load(NULL, argv[1], NULL, &model) || leat_run(model, &x, 1, &y, 1))
    return fprintf(stderr, "%s\n", leat_message()), 1;
  for (int i = 0; i < 10; ++i) printf("%d %.3f\n", i, scores[i]);
  leat_model_close(model);
}
