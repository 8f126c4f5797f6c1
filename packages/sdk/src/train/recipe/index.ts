export { parseRecipe, readRecipe, recipeJsonSchema, recipeSchema } from './read-recipe.js';
export type { ResolvedRecipe } from './read-recipe.js';
